"""Calibration of scores, against scikit-learn and against what is known of Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from audiossl.metrics.calibration import fit_calibration, fit_joint_calibration, fit_log_odds
from audiossl.metrics.verification import cllr


def gaussian_trials(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random(num) < 0.2
    targets[:2] = True, False
    return rng.standard_normal(num) + 1.5 * targets, targets


def test_calibration_is_the_balanced_logistic_regression_of_scikit_learn() -> None:
    scores, targets = gaussian_trials(5000, 1)
    found = fit_calibration(scores, targets)
    expected = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-10, max_iter=1000)
    expected.fit(scores[:, None], targets)
    assert found.scale == pytest.approx(expected.coef_.item(), rel=5e-3)
    assert found.offset == pytest.approx(expected.intercept_.item(), rel=5e-3)
    # The scores are Gaussians of deviation 1 around 0 and 1.5, whose true ratio is 1.5 s - 1.5**2 / 2.
    assert found.scale == pytest.approx(1.5, abs=0.1)
    assert found.offset == pytest.approx(-1.125, abs=0.1)


def test_calibration_stays_finite_where_the_kinds_are_apart_and_follows_shift_and_scale() -> None:
    apart = fit_calibration([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])
    assert 0 < apart.scale < 100
    assert apart.llrs([0.5])[0] == pytest.approx(0.0, abs=1e-6)
    scores, targets = gaussian_trials(300, 0)
    here, there = fit_calibration(scores, targets), fit_calibration(0.01 * scores + 7, targets)
    np.testing.assert_allclose(there.llrs(0.01 * scores + 7), here.llrs(scores), atol=1e-3)
    constant = fit_calibration([0.3, 0.3, 0.3], [1, 0, 0])
    assert cllr(constant.llrs([0.3, 0.3, 0.3]), [1, 0, 0]) == pytest.approx(1.0, abs=0.1)


def test_log_odds_are_the_logistic_regression_of_scikit_learn() -> None:
    scores, targets = gaussian_trials(5000, 1)
    expected = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(scores[:, None], targets)
    found = fit_log_odds(scores, targets)
    assert found == pytest.approx((expected.coef_.item(), expected.intercept_.item()), rel=5e-3)


def test_joint_calibration_is_the_balanced_logistic_regression_of_scikit_learn_and_gains_from_quality() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random(4000) < 0.3
    quality = rng.uniform(0, 1, 4000)
    scores = rng.standard_normal(4000) + 1.5 * targets - 2 * quality  # what shifts scores can be taken out
    figures = np.stack([scores, quality, np.full(4000, 3.0)], axis=1)
    found = fit_joint_calibration(figures, targets)
    expected = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-10, max_iter=1000).fit(figures[:, :2], targets)
    np.testing.assert_allclose(found.weights[:2], expected.coef_[0], rtol=1e-2)
    assert found.weights[2] == 0.0
    assert cllr(found.llrs(figures), targets) < cllr(fit_calibration(scores, targets).llrs(scores), targets) - 0.03
    alone = fit_joint_calibration(figures[:, :1], targets)
    assert (alone.weights[0], alone.offset) == pytest.approx(tuple(fit_calibration(scores, targets)))
