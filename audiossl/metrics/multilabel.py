"""Average precision and area under the ROC curve for items with any number of labels, with bootstrap intervals.

Both are functions of the weights that a resample gives the items: sorted by score once, precision, recall and the curve
follow from cumulative sums of the weights, for all resamples together. Items of one score are one threshold, so that
ties count as in scikit-learn: average precision takes the precision after all of them, the ROC curve is straight there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.bootstrap import NUM_RESAMPLES, SEED, Floats, Ints, cluster_of, interval, intervals_wanted

_CHUNK = 2**22  # most weights held at once: 32 MB
_MOST = 4 * 10**9  # most weights summed in all; larger sets get fewer resamples, at least 200
_FEWEST_RESAMPLES = 200


class ClassFigures(NamedTuple):
    """One class: None where it has no positives (or, for the ROC curve, no negatives)."""

    average_precision: float | None
    auroc: float | None
    num_positives: int


def average_precision(targets: ArrayLike, scores: ArrayLike) -> float:
    """Sum over thresholds of (recall gained) x precision, for targets (N,) of 0 and 1. NaN without positives."""
    return float(_Ranking(np.asarray(targets), np.asarray(scores)).figures(None)[0][0])


def auroc(targets: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a positive outscores a negative, ties counting half. NaN without both."""
    return float(_Ranking(np.asarray(targets), np.asarray(scores)).figures(None)[1][0])


def per_class(targets: ArrayLike, scores: ArrayLike) -> list[ClassFigures]:
    """Figures of each of C classes, from targets and scores (N, C)."""
    rankings = _rankings(targets, scores)
    found = []
    for ranking in rankings:
        precision, area = (float(value[0]) for value in ranking.figures(None))
        found.append(ClassFigures(_known(precision), _known(area), ranking.num_positives))
    return found


def multilabel_metrics(
    targets: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> dict[str, Metric]:
    """`map` and `auroc` by their names: means over the classes, with 95 % intervals.

    A class without a positive item has no average precision, one without both kinds no ROC curve. Means are over those
    that have one, in each resample. NaN where no class has.

    targets: (N, C) of 0 and 1.
    scores: (N, C).
    groups: (N,) what is drawn as a whole (see `cluster_of`).
    num_resamples: how many draws the intervals are of. Large sets get fewer.
    seed: of the draws.
    """
    rankings = _rankings(targets, scores)
    values = _means([ranking.figures(None) for ranking in rankings])
    num_items = len(rankings[0].order)
    if num_items < 2 or not intervals_wanted():
        return {name: Metric(float(value[0])) for name, value in values.items()}
    # Every resample walks through all items of all classes: time is bounded, within reason.
    affordable = _MOST // (num_items * len(rankings))
    num_resamples = min(num_resamples, max(_FEWEST_RESAMPLES, affordable))
    clusters = cluster_of(groups, num_items)
    num_clusters = int(clusters.max()) + 1
    rng, step = np.random.default_rng(seed), max(1, _CHUNK // num_items)
    parts: list[dict[str, Floats]] = []
    for start in range(0, num_resamples, step):
        count = min(step, num_resamples - start)
        # An item counts as often as its cluster was drawn.
        drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=count)
        weights = drawn[:, clusters].astype(np.float64)
        parts.append(_means([ranking.figures(weights) for ranking in rankings]))
    resampled = {name: np.concatenate([part[name] for part in parts]) for name in values}
    return {name: _metric(float(value[0]), resampled[name]) for name, value in values.items()}


class _Ranking:
    """Items of one class, from the highest score to the lowest."""

    def __init__(self, targets: np.ndarray, scores: np.ndarray) -> None:
        if targets.shape != scores.shape or targets.ndim != 1 or not len(targets):
            raise ValueError(f"{scores.shape} scores for {targets.shape} targets; there must be one for each, (N,).")
        if not np.isfinite(scores).all():
            raise ValueError("Scores must be finite.")
        self.order: Ints = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each threshold
        self.positive = targets[self.order].astype(np.float64)
        self.num_positives = int(self.positive.sum())

    def figures(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """Average precision and area (R,) under weights (R, N) of the items. NaN where there is none."""
        drawn = np.ones((1, len(self.order))) if weights is None else weights[:, self.order]
        hits = np.cumsum(drawn * self.positive, axis=1)[:, self.last]  # (R, thresholds)
        found = np.cumsum(drawn, axis=1)[:, self.last]
        gained = np.diff(hits, axis=1, prepend=0.0)
        false = found - hits
        positives, negatives = hits[:, -1], false[:, -1]
        precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
        area = (np.diff(false, axis=1, prepend=0.0) * (hits - gained / 2)).sum(axis=1)
        return _ratio((precision * gained).sum(axis=1), positives), _ratio(area, positives * negatives)


def _rankings(targets: ArrayLike, scores: ArrayLike) -> list[_Ranking]:
    truth, found = np.asarray(targets), np.asarray(scores, dtype=np.float64)
    if truth.shape != found.shape or truth.ndim != 2 or not truth.size:
        raise ValueError(f"{found.shape} scores for {truth.shape} targets; both must be (N, C).")
    return [_Ranking(truth[:, number], found[:, number]) for number in range(truth.shape[1])]


def _means(figures: Sequence[tuple[Floats, Floats]]) -> dict[str, Floats]:
    """(R,) means over the classes that have one."""
    made = {}
    for place, name in enumerate(("map", "auroc")):
        values = np.stack([pair[place] for pair in figures])  # (C, R)
        there = ~np.isnan(values)
        made[name] = _ratio(np.where(there, values, 0.0).sum(axis=0), there.sum(axis=0).astype(np.float64))
    return made


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    ratios = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratios, where=denominator > 0)
    return ratios


def _metric(value: float, resampled: Floats) -> Metric:
    return Metric(value) if np.isnan(value) else Metric(value, *interval(resampled))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
