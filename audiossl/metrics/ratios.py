"""Means and ratios with intervals: word error rates, mean absolute errors, any micro average."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, clusters_of
from audiossl.metrics.jackknife import Difference, Estimate, difference_of, metric_of


def score_ratio(numerators: ArrayLike, denominators: ArrayLike, groups: Groups = None) -> Metric:
    """sum(numerators) / sum(denominators) with its interval: a word error rate, or any micro average.

    Items that are right or wrong make a share, which is at most 1. Other numbers that are not negative make a rate.

    numerators: (N,) of the items, for instance their errors.
    denominators: (N,) of the items, for instance their words.
    groups: (N,) what varies as a whole (see `clusters_of`).
    Raises ValueError where all denominators are 0.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if not len(above) or below.sum() == 0:
        raise ValueError("A ratio needs at least one item with a denominator above 0.")
    clusters = clusters_of(groups, len(above))
    return metric_of(ratio_estimate(above, below, clusters), clusters)


def ratio_estimate(numerators: ArrayLike, denominators: ArrayLike, clusters: Clusters) -> Estimate:
    """The same ratio, with what it is without each cluster.

    numerators, denominators: (N,).
    clusters: of the N items.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    estimate = Estimate(*_ratios(above, below, clusters), "real" if (above < 0).any() else "rate")
    if _are_counts(above, below):
        # Counts vary as counts do, also where no two items differ.
        share = bool((above <= below).all() and (below <= 1).all())
        estimate = estimate._replace(scale="share" if share else "rate", num_items=float(below.sum()))
    return estimate


def score_mean(values: ArrayLike, groups: Groups = None) -> Metric:
    """A mean with its interval.

    values: (N,) of the items. Booleans make a share.
    groups: (N,) what varies as a whole (see `clusters_of`).
    """
    items = np.asarray(values, dtype=np.float64)
    return score_ratio(items, np.ones_like(items), groups)


def paired_difference(
    first: ArrayLike, second: ArrayLike, groups: Groups = None, *, units: ArrayLike | None = None
) -> Difference:
    """mean(first) - mean(second) for two systems on the same items, in the same order.

    first: (N,) booleans of the first system, or any score of an item. With `units`, its errors.
    second: (N,) those of the second.
    groups: (N,) what varies as a whole (see `clusters_of`).
    units: (N,) among how many words an item's errors are. All errors over all words are then compared.
    Raises ValueError for systems that are not scored on the same items, and for items without a single unit.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"Two systems must be scored on the same items, not on {a.shape} and {b.shape}.")
    sizes = np.ones_like(a) if units is None else np.asarray(units, dtype=np.float64)
    if sizes.sum() <= 0:
        raise ValueError("Two systems cannot be compared on items without a single unit.")
    clusters = clusters_of(groups, len(a))
    ours, theirs = (Estimate(*_ratios(each, sizes, clusters)) for each in (a, b))
    return difference_of(ours, theirs, clusters, num_apart=int((clusters.sums(a - b) != 0).sum()))


def across_seeds(values: ArrayLike, groups: Groups = None) -> Metric:
    """The mean over runs and items. The interval is that of the test set, for the average run.

    values: (num_runs, N), one run for each training seed, on the same items.
    groups: (N,) what varies as a whole (see `clusters_of`).
    Raises ValueError for values of another shape.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim != 2 or not runs.size:
        raise ValueError(f"values must be (runs, items), not {runs.shape}.")
    clusters, sizes = clusters_of(groups, runs.shape[1]), np.ones(runs.shape[1])
    if not np.isin(runs, (0.0, 1.0)).all():
        return score_mean(runs.mean(axis=0), clusters)
    return metric_of(Estimate(*_ratios(runs.mean(axis=0), sizes, clusters), "share", float(len(sizes))), clusters)


def _ratios(above: Floats, below: Floats, clusters: Clusters) -> tuple[float, Floats]:
    """The ratio of all items, and (G,) without each cluster. NaN where no denominator is left."""
    top, bottom = clusters.sums(above), clusters.sums(below)
    left = bottom.sum() - bottom
    without = np.full(clusters.num, np.nan)
    np.divide(top.sum() - top, left, out=without, where=left > 0)
    return float(top.sum() / bottom.sum()), without


def _are_counts(above: Floats, below: Floats) -> bool:
    return bool((above >= 0).all() and all((each == np.round(each)).all() for each in (above, below)))
