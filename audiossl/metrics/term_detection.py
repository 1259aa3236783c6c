"""Is a spoken query said in a document? Term-weighted values and normalised cross entropy, with intervals.

TWV(threshold) = 1 - mean over queries of (P_miss + beta P_fa), with beta = C_fa (1 - P) / (C_miss P) (NIST's spoken
term detection evaluation, 2006, by documents as in MediaEval's Query by Example Search on Speech, 2014). P_miss of a
query is the share of the documents with it that lie below the threshold, P_fa the share of the others that do not. MTWV
is the highest over thresholds, at least 0, for nothing need be detected. ATWV is that at a threshold that was fixed
before.

Cnxe (Rodriguez-Fuentes and Penagarikano, 2013) is the cross entropy of log-likelihood ratios in bits over that of
knowing the prior alone. 0 is perfect, and more than 1 is worse than not having listened.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audiossl.core.types import Metric
from audiossl.metrics.calibration import Calibration
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, intervals_wanted, metric_of

Flags = npt.NDArray[np.bool_]
_ROUNDING = 1e-12


class TermCosts(NamedTuple):
    """What detections cost. The defaults are those of QUESST 2014 (12.49 false alarms weigh as much as a miss).

    prior: probability that a document has a query.
    miss: cost of a miss.
    false_alarm: cost of a false alarm.
    """

    prior: float = 0.0008
    miss: float = 100.0
    false_alarm: float = 1.0

    @property
    def beta(self) -> float:
        """What a false alarm weighs beside a miss."""
        return self.false_alarm * (1 - self.prior) / (self.miss * self.prior)


QUESST = TermCosts()


class Searches(NamedTuple):
    """Q queries in D documents.

    scores: (Q, D), higher where a query is more likely there.
    present: (Q, D) whether it is there.
    """

    scores: Floats
    present: Flags

    @property
    def countable(self) -> Flags:
        """(Q,) whether a query is in some documents and not in others. Of the rest there is no P_miss, or no P_fa."""
        counts = self.present.sum(axis=1)
        known: Flags = (counts > 0) & (counts < self.present.shape[1])
        return known

    def of(self, queries: Flags) -> Searches:
        """Those of some queries (Q,)."""
        return Searches(self.scores[queries], self.present[queries])


class BestThreshold(NamedTuple):
    """MTWV, and the least score that is a detection at it. Infinite where nothing had better be detected."""

    value: float
    threshold: float


def best_threshold(searches: Searches, costs: TermCosts = QUESST) -> BestThreshold:
    """The threshold with the highest TWV. Raises ValueError where no query is in some documents and not in others.

    >>> found = best_threshold(Searches(np.array([[3.0, 1.0, 2.0]]), np.array([[True, False, False]])))
    >>> found.value, found.threshold
    (1.0, 3.0)
    """
    gains = _Gains(searches, costs)
    values = gains.values()
    place = int(values.argmax()) if len(values) else 0
    if not len(values) or values[place] <= _ROUNDING:
        return BestThreshold(0.0, math.inf)
    return BestThreshold(float(values[place]), float(gains.thresholds[place]))


def mtwv(searches: Searches, clusters: Clusters, costs: TermCosts = QUESST) -> Metric:
    """The highest TWV with its interval. Each cluster that is left out has a best threshold of its own.

    clusters: of the Q queries.
    Raises ValueError as `best_threshold` does.
    """
    best = best_threshold(searches, costs)
    if not intervals_wanted():
        return Metric(best.value)
    clusters = _of_countable(clusters, searches.countable).merged()
    gains = _Gains(searches, costs)
    without = [gains.values(clusters.of != cluster) for cluster in range(clusters.num)]
    highest = [max(float(each.max(initial=0.0)), 0.0) if len(each) else np.nan for each in without]
    return metric_of(Estimate(best.value, np.array(highest)), clusters)


def costs_at(searches: Searches, threshold: float, costs: TermCosts = QUESST) -> Floats:
    """(Q,) P_miss + beta P_fa of each query at a threshold, which is a detection itself. NaN where it has neither."""
    found = searches.scores >= threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        misses = (searches.present & ~found).sum(axis=1) / searches.present.sum(axis=1)
        alarms = (~searches.present & found).sum(axis=1) / (~searches.present).sum(axis=1)
    total: Floats = misses + costs.beta * alarms
    return total


def atwv(searches: Searches, threshold: float, clusters: Clusters, costs: TermCosts = QUESST) -> Metric:
    """The TWV at a threshold, with its interval.

    searches: of Q queries.
    threshold: the least score that is a detection.
    clusters: of the Q queries.
    costs: of misses and false alarms.
    Raises ValueError as `best_threshold` does.
    """
    counted = _checked(searches)
    clusters = _of_countable(clusters, counted)
    values = 1 - costs_at(searches.of(counted), threshold, costs)
    sums, sizes = clusters.sums(values), np.bincount(clusters.of, minlength=clusters.num).astype(np.float64)
    return metric_of(Estimate(float(values.mean()), _means_without(sums, sizes)), clusters)


def cnxe(searches: Searches, calibration: Calibration, clusters: Clusters, costs: TermCosts = QUESST) -> Metric:
    """Normalised cross entropy of the calibrated scores of all pairs of a query and a document, with its interval.

    searches: of Q queries.
    calibration: from scores to log-likelihood ratios.
    clusters: of the Q queries.
    costs: of which the prior counts.
    Raises ValueError where no pair, or every pair, is one of a query and a document with it.
    """
    present = searches.present
    if not present.any() or present.all():
        raise ValueError("A cross entropy needs pairs of both kinds.")
    logits = calibration.llrs(searches.scores) + math.log(costs.prior / (1 - costs.prior))
    bits = np.logaddexp(0, np.where(present, -logits, logits)) / math.log(2)
    kinds = []  # of pairs with the query, and without it: sums by cluster, and how many
    for kind, share in ((present, costs.prior), (~present, 1 - costs.prior)):
        kinds.append((share, clusters.sums((bits * kind).sum(axis=1)), clusters.sums(kind.sum(axis=1).astype(float))))
    value = sum(share * sums.sum() / counts.sum() for share, sums, counts in kinds)
    without = sum(share * _means_without(sums, counts) for share, sums, counts in kinds)
    alone = -sum(share * math.log2(share) for share in (costs.prior, 1 - costs.prior))
    return metric_of(Estimate(float(value / alone), np.asarray(without) / alone, "rate"), clusters)


class _Gains:
    """What each pair adds to the TWV when it is detected, from the highest score down.

    thresholds: (N,) the distinct scores, the highest first.
    """

    def __init__(self, searches: Searches, costs: TermCosts) -> None:
        used = searches.of(_checked(searches))
        num_present = used.present.sum(axis=1, keepdims=True)
        weights = np.where(used.present, 1 / num_present, -costs.beta / (used.present.shape[1] - num_present))
        order = np.argsort(-used.scores, axis=None, kind="stable")
        scores = used.scores.ravel()[order]
        self._weights, self._queries = (
            weights.ravel()[order],
            np.repeat(np.arange(len(weights)), weights.shape[1])[order],
        )
        self._num_queries = len(weights)
        self._ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores are detected together
        self.thresholds: Floats = scores[self._ends]

    def values(self, queries: Flags | None = None) -> Floats:
        """(N,) the TWV at each threshold, of some of the countable queries. Empty for none of them."""
        if queries is None:
            return np.asarray(np.cumsum(self._weights)[self._ends] / self._num_queries)
        if not queries.any():
            return np.zeros(0)
        sums = np.cumsum(np.where(queries[self._queries], self._weights, 0.0))
        return np.asarray(sums[self._ends] / queries.sum())


def _checked(searches: Searches) -> Flags:
    counted = searches.countable
    if not counted.any():
        raise ValueError("A term-weighted value needs a query that is in some of the documents and not in others.")
    return counted


def _of_countable(clusters: Clusters, counted: Flags) -> Clusters:
    """The clusters of the countable queries, numbered without a gap."""
    _, places = np.unique(clusters.of[counted], return_inverse=True)
    return clusters._replace(of=places.astype(np.int64))


def _means_without(sums: Floats, counts: Floats) -> Floats:
    """(G,) the mean of all items but those of a cluster. NaN where none is left."""
    left = counts.sum() - counts
    made = np.full(len(sums), np.nan)
    np.divide(sums.sum() - sums, left, out=made, where=left > 0)
    return made
