"""Cohort statistics and normalised scores, against what is computed trial by trial."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.core.errors import ConfigError
from audiossl.metrics import score_normalization
from audiossl.metrics.score_normalization import cohort_statistics, normalize_scores


def units(num: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((num, 6))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("top_k", [5, 30, None])
def test_twenty_trials_by_hand(top_k: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_normalization, "_CHUNK", 3 * 30)  # three sides at a time
    enrol, test, cohort = units(20, 0), units(20, 1), units(30, 2)
    scores = (enrol * test).sum(axis=1)
    by_hand = []
    for left, right, score in zip(enrol, test, scores, strict=True):
        parts = []
        for side in (left, right):
            best = sorted((float(side @ member) for member in cohort), reverse=True)[:top_k]
            mean = sum(best) / len(best)
            deviation = (sum((each - mean) ** 2 for each in best) / len(best)) ** 0.5
            parts.append((score - mean) / deviation)
        by_hand.append(sum(parts) / 2)
    sides = [cohort_statistics(each, cohort, top_k) for each in (enrol, test)]
    np.testing.assert_allclose(normalize_scores(scores, *sides), by_hand, rtol=1e-10)


def test_a_cohort_smaller_than_top_k_counts_as_it_is_and_single_precision_will_do() -> None:
    sides, cohort = units(4, 0), units(9, 1)
    whole, few = cohort_statistics(sides, cohort), cohort_statistics(sides, cohort, 300)
    np.testing.assert_array_equal(whole.mean, few.mean)
    single = cohort_statistics(sides.astype(np.float32), cohort.astype(np.float32), 4)
    np.testing.assert_allclose(single.mean, cohort_statistics(sides, cohort, 4).mean, rtol=1e-5)
    assert single.of(np.array([2, 2])).mean.tolist() == [single.mean[2]] * 2


def test_what_cannot_normalise_is_said() -> None:
    sides = units(3, 0)
    with pytest.raises(ConfigError, match="take at least two"):
        cohort_statistics(sides, sides[:1], 300)
    with pytest.raises(ConfigError, match="score alike"):
        cohort_statistics(sides, np.ones((4, 6)))
