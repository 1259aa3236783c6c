"""Scores of several runs as one: a logistic regression on dev's trials (Brümmer et al., 2007)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiossl.core.errors import ConfigError
from audiossl.metrics.calibration import fit_joint_calibration
from audiossl.metrics.clusters import Floats
from audiossl.metrics.verification import paired_eer, sides_of, verification_metrics
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse, check_same_items
from audiossl.training.task import Prediction

_TRIAL = ("id", "enrol", "test", "target", "speaker_enrol", "speaker_test")


def fuse_trials(runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
    """One log-likelihood ratio of the scores of R runs, which is also the score.

    runs: with predictions of dev, which the weights are fitted on.
    weights: 'dev'. Raises ConfigError for others, AudiosslError where the trials differ.
    """
    if weights != "dev":
        raise ConfigError(
            f"The scores of runs have scales of their own, of which --weights {weights} makes no mean; leave it out."
        )
    dev, test = [run.dev for run in runs], [run.test for run in runs]
    check_same_items(dev)
    check_same_items(test)
    fitted = fit_joint_calibration(_scores(dev), [row["target"] for row in dev[0]])
    scores, targets, sides = _scores(test), [row["target"] for row in test[0]], sides_of(test[0])
    llrs = fitted.llrs(scores)
    rows = [
        {**{key: row.get(key) for key in _TRIAL}, "score": llr, "llr": llr}
        for row, llr in zip(test[0], llrs.tolist(), strict=True)
    ]
    return Fused(
        rows,
        verification_metrics(llrs, targets, sides, llrs),
        "eer",
        [paired_eer(llrs, column, targets, sides) for column in scores.T],
        {"weights": list(fitted.weights), "offset": fitted.offset},
    )


def _scores(runs: Sequence[Sequence[Prediction]]) -> Floats:
    """(N, R)."""
    return np.array([[row["score"] for row in rows] for rows in runs], dtype=np.float64).T
