"""Average precision and area under the ROC curve for items with any number of labels, with intervals.

Both are functions of weights of the items: sorted by score once, precision, recall and the curve follow from cumulative
sums of the weights, for all clusters that are left out together. Items of one score are one threshold, so that
ties count as in scikit-learn: average precision takes the precision after all of them, the ROC curve is straight there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, Ints, clusters_of
from audiossl.metrics.jackknife import Estimate, intervals_wanted, metric_of

_CHUNK = 2**22  # most weights held at once: 32 MB


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


def multilabel_metrics(targets: ArrayLike, scores: ArrayLike, groups: Groups = None) -> dict[str, Metric]:
    """`map` and `auroc` by their names: means over the classes, with 95 % intervals.

    A class without a positive item has no average precision, one without both kinds no ROC curve. Means are over those
    that have one. NaN where no class has.

    targets: (N, C) of 0 and 1.
    scores: (N, C).
    groups: (N,) what varies as a whole (see `clusters_of`).
    """
    if not intervals_wanted():
        values = _means(_whole(_rankings(targets, scores)))
        return {name: Metric(float(value[0])) for name, value in values.items()}
    clusters = clusters_of(groups, len(np.asarray(targets)))
    found = multilabel_estimates(targets, scores, clusters)
    return {name: metric_of(each, clusters) for name, each in found.items()}


def multilabel_estimates(targets: ArrayLike, scores: ArrayLike, clusters: Clusters) -> dict[str, Estimate]:
    """The same metrics, with what each of them is without each cluster (or group of clusters).

    targets, scores: (N, C).
    clusters: of the N items.
    A class that only the cluster has that is left out keeps its figure: nothing is known of it elsewhere.
    """
    rankings = _rankings(targets, scores)
    whole = _whole(rankings)
    values = _means(whole)
    merged = clusters.merged()
    step = max(1, _CHUNK // len(merged.of))
    parts: list[dict[str, Floats]] = []
    for start in range(0, merged.num, step):
        gone = np.arange(start, min(start + step, merged.num))[:, None]
        weights = (merged.of != gone).astype(np.float64)
        figures = [ranking.figures(weights) for ranking in rankings]
        kept = [
            tuple(np.where(np.isnan(part), full, part) for part, full in zip(parts_of, full_of, strict=True))
            for parts_of, full_of in zip(figures, whole, strict=True)
        ]
        parts.append(_means(kept))
    without = {name: np.concatenate([part[name] for part in parts]) for name in values}
    # What a class is worth: its positives, as many as there are.
    positives = np.array([ranking.num_positives for ranking in rankings if ranking.num_positives], dtype=np.float64)
    worth = len(positives) ** 2 / (1 / positives).sum() if len(positives) else 1.0
    return {name: Estimate(float(value[0]), without[name], "share", float(worth)) for name, value in values.items()}


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


def _means(figures: Sequence[tuple[Floats, ...]]) -> dict[str, Floats]:
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


def _whole(rankings: Sequence[_Ranking]) -> list[tuple[Floats, Floats]]:
    """Average precision and area (1,) of all items, for each class."""
    return [ranking.figures(None) for ranking in rankings]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
