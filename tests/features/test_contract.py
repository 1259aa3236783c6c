"""Both kinds of sources are what heads read, and surveys of several entries are one."""

from __future__ import annotations

from audiossl.features.contract import StateSource, Survey, joint_survey
from audiossl.features.joined_source import JoinedSource
from audiossl.features.source import FeatureSource


def test_what_a_head_asks_of_a_source_both_have() -> None:
    asked = {name for name in vars(StateSource) if not name.startswith("_")}
    for kind in (FeatureSource, JoinedSource):
        assert not {name for name in asked if not hasattr(kind, name)} - {"upstream"}, kind


def test_rows_that_any_entry_lacks_and_bytes_of_all() -> None:
    found = joint_survey([Survey(4, 10.0, 100, 1, 2.0, 25), Survey(4, 10.0, 40, 3, 7.5, 30)])
    assert found == Survey(4, 10.0, 140, 3, 7.5, 55)
