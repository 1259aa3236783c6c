"""Decisions of classes: what a weighted loss adds is undone, and dev says the rest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from audiossl.downstreams.bioacoustics.thresholds import (
    UNKNOWN,
    Decision,
    best_threshold,
    fit_decision,
    scores_of,
    significant,
)
from audiossl.metrics.clusters import Clusters


def windows(num: int, share: float, weight: float, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a class as a loss with that weight of positives leaves them, and whether it is heard."""
    rng = np.random.default_rng(0)
    true = logit(share) + 1.5 * rng.standard_normal(num)
    return sharpness * (true + np.log(weight)), rng.random(num) < expit(true)


def test_without_enough_windows_the_weight_is_undone_and_nothing_else() -> None:
    logits, present = windows(60, 0.05, 19.0)
    assert present.sum() < 10
    found = fit_decision(logits, present, Clusters(np.arange(60)), 19.0)
    assert found == Decision(1.0, -np.log(19.0), UNKNOWN, 0.0)
    # A score of 0.5 under the weight is the base rate.
    assert scores_of([[0.0]], np.array([found]))[0, 0] == pytest.approx(0.05)


def test_dev_gives_probabilities_and_the_threshold_of_the_highest_f1() -> None:
    logits, present = windows(4000, 0.05, 19.0, sharpness=3.0)
    found = fit_decision(logits, present, Clusters(np.arange(4000) % 9), 19.0)
    assert found.calibrated == 1.0
    assert (found.scale, found.offset) == pytest.approx((1 / 3, -np.log(19)), rel=0.15)
    scores = scores_of(logits[:, None], np.array([found]))[:, 0]
    assert scores.mean() == pytest.approx(present.mean(), rel=0.1)

    def f1(heard: np.ndarray) -> float:
        return float(2 * (heard & present).sum() / (heard.sum() + present.sum()))

    assert f1(scores >= found.threshold) == max(f1(scores >= value) for value in scores)
    assert f1(scores >= found.threshold) > 1.3 * f1(logits > 0)


def test_a_line_that_does_not_hold_elsewhere_is_not_kept() -> None:
    rng = np.random.default_rng(0)
    present = np.arange(200) % 4 == 0
    logits = np.where(present, 1.0, -1.0) + rng.standard_normal(200)
    logits[100:] = -logits[100:]
    found = fit_decision(logits, present, Clusters(np.repeat([0, 1], 100)), 1.0)
    assert (found.scale, found.offset, found.calibrated) == (1.0, 0.0, 0.0)
    alone = fit_decision(logits, np.arange(200) < 100, Clusters(np.repeat([0, 1], 100)), 1.0)
    assert alone.calibrated == 0.0  # each half has one kind


def test_threshold_of_equal_scores_and_of_none_that_is_better() -> None:
    assert best_threshold(np.array([0.5, 0.5, 0.1]), np.array([True, False, False])) == pytest.approx(0.3)
    assert best_threshold(np.array([0.4, 0.4]), np.array([True, True])) == pytest.approx(0.2)
    assert best_threshold(np.array([1e-11, 3e-11]), np.array([False, True])) == pytest.approx(2e-11, rel=1e-6)


def test_rare_scores_keep_their_order() -> None:
    values = np.array([1.23456789e-9, 1.2345e-9, 0.99999949, 1.0, 0.0, 0.5])
    assert significant(values).tolist() == pytest.approx([1.23457e-9, 1.2345e-9, 0.999999, 1.0, 0.0, 0.5], rel=1e-6)
