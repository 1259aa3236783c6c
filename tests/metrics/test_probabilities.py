"""Calibration error by hand, temperatures that are known, and whether one helps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.probabilities import (
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    temperature_that_helps,
    without_weights,
)


def drawn(num: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 4) that are too large by a factor, and classes drawn from the true probabilities."""
    rng = np.random.default_rng(seed)
    true = 1.5 * rng.standard_normal((num, 4))
    chances = softmax(true, axis=1).cumsum(axis=1)
    return true * temperature, (rng.random((num, 1)) > chances[:, :3]).sum(axis=1)


def items(num: int) -> Clusters:
    return Clusters(np.arange(num))


def test_calibration_error_by_hand() -> None:
    said, right = [0.95, 0.85, 0.6, 0.7], [1, 0, 1, 1]
    assert expected_calibration_error(said, right, num_bins=1) == pytest.approx(abs(0.775 - 0.75))
    assert expected_calibration_error(said, right, num_bins=2) == pytest.approx((abs(1.8 - 1) + abs(1.3 - 2)) / 4)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):  # of items that are said alike, whichever comes first
        assert expected_calibration_error([0.75] * 4, np.array(right)[order], num_bins=4) == 0.0


def test_a_temperature_is_found_again_and_mends_the_calibration() -> None:
    for temperature in (2.5, 0.4):
        logits, targets = drawn(3000, temperature)
        found = temperature_that_helps(logits, targets, items(3000))
        assert found == pytest.approx(temperature, rel=0.1)
        logits, targets = drawn(3000, temperature, seed=1)
        errors = []
        for used in (1.0, found):
            chances = np.exp(log_probabilities(logits, used))
            errors.append(expected_calibration_error(chances.max(axis=1), chances.argmax(axis=1) == targets))
        assert errors[1] < 0.03 < 0.1 < errors[0]


def test_it_helps_only_where_held_out_items_say_so() -> None:
    logits, targets = drawn(400, 3.0)
    assert temperature_that_helps(logits[:49], targets[:49], items(49)) is None  # too few
    assert temperature_that_helps(logits, targets, items(400)) is not None
    # Two speakers, one too sure and one too unsure: what is fitted on one is wrong for the other.
    first, second = drawn(200, 4.0), drawn(200, 0.25, seed=1)
    mixed = np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
    assert temperature_that_helps(*mixed, Clusters(np.repeat([0, 1], 200))) is None
    assert temperature_that_helps(np.full((60, 4), np.nan), np.zeros(60, dtype=int), items(60)) is None


def test_items_that_are_all_right_do_not_give_a_temperature_of_zero() -> None:
    logits = 3 * np.eye(4)[np.arange(100) % 4]
    assert 0.1 < fit_temperature(logits, np.arange(100) % 4) < 1


def test_weights_of_the_loss_are_undone() -> None:
    chances, weights = np.array([0.7, 0.2, 0.1]), np.array([0.5, 1.0, 4.0])
    logits = np.log(chances * weights) + 3
    np.testing.assert_allclose(np.exp(log_probabilities(without_weights(logits, weights))), chances)
    assert np.isfinite(without_weights(logits, [0.0, 1.0, 1.0])).all()
