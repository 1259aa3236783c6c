"""What is chosen: the unsure before the sure, and of these what differs. By hand."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.selection import select, uncertainty

SCORES = np.array([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05], [1 / 3, 1 / 3, 1 / 3]])


def test_uncertainty_by_hand() -> None:
    assert uncertainty(SCORES) == pytest.approx([0.95, 0.15, 1.0])
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.05)) / np.log(3)
    assert uncertainty(SCORES, "entropy")[1:] == pytest.approx([entropy, 1.0])
    many = np.array([[0.0, 1.0, 0.6], [0.1, 0.9, 0.0]])
    assert uncertainty(many, one_label=False) == pytest.approx([0.8, 0.2])


def test_of_the_most_uncertain_those_that_differ() -> None:
    unsure = np.array([0.9, 0.89, 0.8, 0.1])
    vectors = np.array([[0.0], [0.1], [5.0], [99.0]])
    assert select(unsure, vectors, 2, pool=1).tolist() == [0, 1]
    # Of three candidates the second is the farthest. The sure one is none.
    assert select(unsure, vectors, 2, pool=2).tolist() == [0, 3]
    assert select(unsure[:3], vectors[:3], 2).tolist() == [0, 2]
    # What is annotated is like the most uncertain ones.
    assert select(unsure[:3], vectors[:3], 1, known=np.array([[0.0]])).tolist() == [2]
    assert select(unsure, vectors, 9).tolist() == [0, 3, 2, 1]
