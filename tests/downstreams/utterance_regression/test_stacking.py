"""A stack leaks no fold, is better than its parts where these differ, and says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from audiossl.core.errors import ConfigError, LabelError
from audiossl.downstreams.utterance_regression import stacking
from audiossl.downstreams.utterance_regression.stacking import Rows, folds_of, stacked
from audiossl.metrics.clusters import Clusters


def rows_of(num_items: int, seed: int, speakers: int = 8) -> Rows:
    """Two encoders, each of which hears half of what makes the number."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((num_items, 2))
    vectors = {
        name: np.concatenate([causes[:, [place]], rng.standard_normal((num_items, 3))], axis=1)
        for place, name in enumerate(("first", "second"))
    }
    targets = causes.sum(axis=1) + 0.1 * rng.standard_normal(num_items)
    return Rows(vectors, targets, Clusters(np.arange(num_items) % speakers, "speaker"))


def test_it_joins_what_encoders_know() -> None:
    found = stacked(rows_of(160, 0), rows_of(120, 1), ["ridge", "linear_svr"])
    assert set(found.learners) == {f"{name} {kind}" for name in ("first", "second") for kind in ("ridge", "linear_svr")}
    assert found.metrics["spearman"].value > 0.95
    assert all(each["spearman"].value < 0.85 for each in found.learners.values())
    assert all(difference.high < 0 for difference in found.differences.values())  # type: ignore[operator]


def test_no_speaker_is_on_both_sides_of_a_fold() -> None:
    rows = rows_of(50, 0, speakers=7)
    folds = folds_of(rows.clusters)
    assert len(folds) == 5
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(50))
    for train, held in folds:
        assert not set(rows.clusters.of[train]) & set(rows.clusters.of[held])


class ByHeart(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Knows by heart whose vector had which number, and says 0 of anybody else. What leaks it would know."""

    def fit(self, inputs: Any, targets: Any) -> ByHeart:
        self.known_ = {row.tobytes(): target for row, target in zip(inputs.round(6), targets, strict=True)}
        return self

    def predict(self, inputs: Any) -> Any:
        return np.array([self.known_.get(row.tobytes(), 0.0) for row in inputs.round(6)])


def test_what_the_next_stage_reads_was_predicted_by_who_did_not_hear_the_speaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each speaker has one vector and one number: out of fold nobody knows them, so that nothing is left to say."""
    rng = np.random.default_rng(0)
    speakers = np.arange(60) % 10
    voices, worth = rng.standard_normal((10, 2)), rng.standard_normal(10)
    train = Rows({"voice": voices[speakers]}, worth[speakers], Clusters(speakers, "speaker"))
    monkeypatch.setattr(stacking, "REGRESSORS", {"heart": ByHeart})
    found = stacked(train, train, ["heart"])
    assert np.ptp(found.predicted) < 0.5 * np.ptp(worth)
    for train_rows, held in folds_of(train.clusters):
        made = ByHeart().fit(voices[speakers][train_rows], worth[speakers][train_rows])
        assert made.predict(voices[speakers][held]).tolist() == [0.0] * len(held)
    assert found.learners["voice heart"]["mae"].value == pytest.approx(0, abs=1e-9)  # fitted on all, for new rows


def test_what_cannot_be_stacked() -> None:
    rows = rows_of(20, 0)
    with pytest.raises(ConfigError, match="no regressor named 'lasso'"):
        stacked(rows, rows, ["lasso"])
    with pytest.raises(LabelError, match="are of one speaker"):
        stacked(rows._replace(clusters=Clusters(np.zeros(20, dtype=np.int64))), rows, ["ridge"])
    with pytest.raises(LabelError, match="All 20 training rows have the number 3"):
        stacked(rows._replace(targets=np.full(20, 3.0)), rows, ["ridge"])
