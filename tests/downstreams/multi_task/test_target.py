"""A target is short for its kind, and has ranges."""

from __future__ import annotations

import pytest

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.downstreams.multi_task.target import Target
from audiossl.downstreams.multi_task.task import MultiTaskConfig


def test_a_word_is_its_kind() -> None:
    made = structured(MultiTaskConfig, {"targets": {"age": "number", "sex": {"weight": 0.5}}})
    assert made.targets == {"age": Target("number"), "sex": Target("class", weight=0.5)}
    again = structured(MultiTaskConfig, {"targets": {"age": "number"}}, {"targets": {"age": {"weight": 2.0}}})
    assert again.targets["age"] == Target("number", weight=2.0)


@pytest.mark.parametrize(
    "wrong", [{"kind": "label"}, {"weight": -1.0}, {"weight": float("nan")}, {"loss": "r2"}, {"wieght": 1.0}]
)
def test_what_a_target_is_not(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        structured(MultiTaskConfig, {"targets": {"age": wrong}})
