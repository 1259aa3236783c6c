"""Scores normalised by a cohort: S-norm (Shum et al., 2010) and AS-norm (Matejka et al., 2017).

What a side scores against the cohort says how much it resembles anybody. With the mean m and the deviation d of these
scores, a score s of the sides e and t becomes

    s' = ((s - m_e) / d_e + (s - m_t) / d_t) / 2

S-norm takes all of the cohort. AS-norm takes the `top_k` scores of each side (its variant 1). The deviation is that of
a population, sqrt(mean((x - m)^2)).

m and d belong to a side and not to a trial, so that each is computed once. That is one matrix product and one partial
sort, in parts of bounded size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import ConfigError
from audiossl.metrics.clusters import Floats, Ints

_CHUNK = 2**23  # most scores held at once: 64 MB in double precision, and twice that while they are sorted


class CohortStatistics(NamedTuple):
    """Of the cohort scores of N sides: mean (N,) and deviation (N,)."""

    mean: Floats
    deviation: Floats

    def of(self, places: Ints) -> CohortStatistics:
        """Those of the sides at these places."""
        return CohortStatistics(self.mean[places], self.deviation[places])


def cohort_statistics(sides: NDArray[Any], cohort: NDArray[Any], top_k: int | None = None) -> CohortStatistics:
    """Mean and deviation of what each side scores against the cohort.

    sides: (N, D), whose product with the cohort is the score.
    cohort: (C, D).
    top_k: how many of the highest scores count, all of them where it is None or beyond the cohort.
    Raises ConfigError for a cohort of fewer than two, or scores that are all alike.
    """
    count = len(cohort) if top_k is None else min(top_k, len(cohort))
    if count < 2:
        raise ConfigError(f"A mean and a deviation of {count} cohort score(s) say nothing; take at least two.")
    mean, deviation = np.empty(len(sides)), np.empty(len(sides))
    step = max(1, _CHUNK // len(cohort))
    for start in range(0, len(sides), step):
        part = slice(start, start + step)
        scores = sides[part] @ cohort.T
        if count < len(cohort):
            scores.partition(len(cohort) - count, axis=1)
            scores = scores[:, len(cohort) - count :]
        mean[part] = scores.mean(axis=1, dtype=np.float64)
        deviation[part] = scores.std(axis=1, dtype=np.float64)
    if not (deviation > 0).all():
        raise ConfigError("All members of the cohort score alike, so nothing can be divided by; take other speakers.")
    return CohortStatistics(mean, deviation)


def normalize_scores(scores: Floats, enrol: CohortStatistics, test: CohortStatistics) -> Floats:
    """(N,) normalised scores of N trials.

    scores: (N,).
    enrol: of the enrolled side of each trial.
    test: of its other side.
    """
    return np.asarray(
        ((scores - enrol.mean) / enrol.deviation + (scores - test.mean) / test.deviation) / 2, dtype=np.float64
    )
