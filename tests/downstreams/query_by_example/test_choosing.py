"""What dev decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audiossl.downstreams.query_by_example.choosing import choose, normalized
from audiossl.metrics.term_detection import TermCosts

EVEN = TermCosts(prior=0.5, miss=1.0, false_alarm=1.0)
PRESENT = np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool)
GOOD = np.where(PRESENT, 0.9, 0.2) + np.array([[0.0, 0.01, 0.02, 0.03]])


def test_the_layer_and_the_normalisation_with_the_highest_value_are_chosen() -> None:
    """Queries at different levels are told apart by z alone."""
    apart = GOOD + np.array([[5.0], [0.0]])
    choice, values = choose({2: -GOOD, 5: apart}, PRESENT, ("none", "z"), EVEN)
    assert (choice.layer, choice.normalization) == (5, "z")
    assert values[5, "z"] == 1.0
    assert values[5, "none"] < 1.0
    assert values[2, "z"] == 0.0
    scores = normalized(apart, "z")
    assert scores[PRESENT].min() > choice.threshold > scores[~PRESENT].max()
    assert choice.calibration.scale > 0


def test_the_first_of_equals_is_chosen() -> None:
    choice, _ = choose({1: GOOD, 3: GOOD}, PRESENT, ("z", "none"), EVEN)
    assert (choice.layer, choice.normalization) == (1, "z")


def test_where_nothing_had_better_be_detected_the_threshold_is_infinite() -> None:
    choice, _ = choose({0: -GOOD}, PRESENT, ("none",), EVEN)
    assert math.isinf(choice.threshold)


def test_a_query_that_was_not_searched_is_everywhere_alike() -> None:
    raw = np.array([[-0.5, -0.1, -0.3], [np.nan] * 3])
    assert normalized(raw, "z")[1].tolist() == [0.0] * 3
    assert normalized(raw, "none").tolist() == [[-0.5, -0.1, -0.3], [-0.5] * 3]
    assert normalized(raw, "z")[0] == pytest.approx((raw[0] - raw[0].mean()) / raw[0].std(), abs=1e-6)
