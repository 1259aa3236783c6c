"""Average precision of pairs: by hand, and equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.same_different import average_precision, pairs_of, precision_estimate

LABELS, SPEAKERS = ["cat", "cat", "dog", "dog"], ["ann", "bob", "ann", "ann"]


def test_by_hand() -> None:
    """Pairs from the nearest: same, different, same: precision 1 and 2/3, mean 5/6. Ties are taken together: 2/3."""
    same = np.array([True, False, True])
    assert average_precision(np.array([0.1, 0.2, 0.3]), same) == pytest.approx(5 / 6)
    assert average_precision(np.array([0.1, 0.1, 0.1]), same) == pytest.approx(2 / 3)


def test_all_pairs_or_those_across_speakers() -> None:
    every = pairs_of(LABELS)
    assert list(zip(every.first.tolist(), every.second.tolist(), every.same.tolist(), strict=True)) == [
        (0, 1, True), (0, 2, False), (0, 3, False), (1, 2, False), (1, 3, False), (2, 3, True),
    ]  # fmt: skip
    across = pairs_of(LABELS, SPEAKERS)  # both dogs are Ann's
    assert len(across.same) == 5
    assert int(across.same.sum()) == 1
    for labels in (["a", "b", "c"], ["a", "a", "a"]):
        with pytest.raises(ValueError, match="pairs of one word and pairs of different words"):
            pairs_of(labels)


def test_it_is_that_of_scikit_learn_also_without_each_speaker() -> None:
    rng = np.random.default_rng(0)
    labels, speakers = [str(n % 5) for n in range(40)], [f"s{n // 10}" for n in range(40)]
    pairs = pairs_of(labels)
    distances = np.round(rng.random(len(pairs.same)) - 0.3 * pairs.same, 2)  # with ties
    found = precision_estimate(distances, pairs, clusters_of(speakers, 40))
    assert found.value == pytest.approx(average_precision_score(pairs.same, -distances))
    for number in range(4):
        left = (pairs.first // 10 != number) & (pairs.second // 10 != number)
        expected = average_precision_score(pairs.same[left], -distances[left])
        assert found.without[number] == pytest.approx(expected)
