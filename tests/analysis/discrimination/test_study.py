"""A study of several encoders on the same segments."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.tones import spoken_rows

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.keeping import ScoreName
from audiossl.analysis.discrimination.study import study_discrimination
from audiossl.core.errors import ConfigError


def test_tones_are_told_apart_and_random_weights_stand_beside(tmp_path: Path, toy_upstream: str) -> None:
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("low,mid,3\nmid,high,2\nlow,high,1\n")
    options = DiscriminationOptions(standardize=True, ratings=str(ratings))
    study = study_discrimination(["log_mel", toy_upstream], [spoken_rows(tmp_path)], tmp_path / "out", options)
    assert [each.studied.written for each in study.encoders] == ["log_mel", toy_upstream, f"{toy_upstream}, random"]
    first = study.encoders[0]
    for distance in ("mean", "dtw"):  # speakers are at different levels of noise
        figures = {score: first.layers[0][ScoreName(score, distance)].value for score in ("abx_within", "ap")}
        assert figures["abx_within"] == 0.0
        assert 84 / 276 < figures["ap"] < 1.0
    assert ScoreName("similarity", "mean") in first.names
    differences = study.differences[ScoreName("ap", "mean")]
    assert set(differences) == {f"{toy_upstream} - log_mel", f"{toy_upstream} - {toy_upstream}, random"}
    assert all(len(each.layers) > 1 for each in study.encoders[1:])


def test_the_best_layer_has_the_least_error_or_the_highest_precision(tmp_path: Path, toy_upstream: str) -> None:
    options = DiscriminationOptions(distances="mean", random=False)
    study = study_discrimination([toy_upstream], [spoken_rows(tmp_path)], tmp_path / "out", options)
    (found,) = study.encoders
    for name in found.names:
        values = {layer: figures[name].value for layer, figures in found.layers.items()}
        wanted = min(values.values()) if name.smaller_is_better else max(values.values())
        assert values[found.best(name)] == wanted


def test_an_encoder_is_asked_for_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log_mel is asked for twice"):
        study_discrimination(["log_mel", "log_mel"], [tmp_path / "a.jsonl"], tmp_path / "out")
