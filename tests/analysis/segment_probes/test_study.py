"""A study of an encoder and its controls."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.tones import spoken_rows

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.study import RANDOM_LABELS, RANDOM_WEIGHTS, study_segments
from audiossl.core.errors import ConfigError

OPTIONS = SegmentProbeOptions(folds=3, least_items=2, by="site", layers="last")


def test_tones_are_told_by_anybody(tmp_path: Path, toy_upstream: str) -> None:
    study = study_segments(["log_mel", toy_upstream], [spoken_rows(tmp_path)], tmp_path / "out", OPTIONS)
    titles = {(each.curve.encoder, each.curve.what): each for each in study.curves}
    assert set(titles) == {
        ("log_mel", ""),
        ("log_mel", RANDOM_LABELS),
        (toy_upstream, ""),
        (toy_upstream, RANDOM_LABELS),
        (toy_upstream, RANDOM_WEIGHTS),
    }
    assert titles["log_mel", ""].chosen["uar"].value == 1.0
    assert titles["log_mel", RANDOM_LABELS].chosen["uar"].value < 0.7
    assert study.groups["log_mel"]["site"]["north"][0] == 6
    assert f"{toy_upstream} - log_mel" in study.differences


def test_an_encoder_is_asked_for_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log_mel is asked for twice"):
        study_segments(["log_mel", "log_mel"], [tmp_path / "a.jsonl"], tmp_path / "out", OPTIONS)
