"""Percentile bootstrap intervals from sums (Efron and Tibshirani, 1993, chapter 13).

Every metric here is a function of sums over items (counts of a confusion matrix, errors and words, ...). Drawing n
clusters with replacement only needs how often each *distinct* row of per-cluster sums is drawn, which is one
multinomial draw: all resamples are one matrix product, and no item is copied.

Items of one speaker are not independent, so whole speakers are drawn where they are known (Field and Welsh, 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiossl.core.types import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUM_RESAMPLES = 2000
SEED = 0
_CHUNK = 2**23  # most numbers drawn at once: 64 MB
_wanted: ContextVar[bool] = ContextVar("wanted", default=True)


class Difference(NamedTuple):
    """First system minus second, its 95 % interval, and the two-sided p-value of no difference."""

    value: float
    low: float | None
    high: float | None
    p_value: float | None


@contextmanager
def no_intervals() -> Iterator[None]:
    """Within this, metrics are values alone: an evaluation in training only ranks weights, and draws no resamples."""
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def intervals_wanted() -> bool:
    """Whether metrics are to have intervals: not within `no_intervals`."""
    return _wanted.get()


def cluster_of(groups: Sequence[str | None] | None, num_items: int) -> Ints:
    """(N,) the cluster that each item is resampled with: its group where all are known and at least two differ.

    >>> cluster_of(["ann", "bob", "ann"], 3).tolist(), cluster_of(["ann", None, "bob"], 3).tolist()
    ([0, 1, 0], [0, 1, 2])
    """
    if groups is not None:
        if len(groups) != num_items:
            raise ValueError(f"{len(groups)} groups for {num_items} items.")
        if all(group is not None for group in groups) and len(set(groups)) > 1:
            return np.unique(np.array([str(group) for group in groups]), return_inverse=True)[1].astype(np.int64)
    return np.arange(num_items, dtype=np.int64)


def resampled_sums(
    values: ArrayLike, clusters: Ints, *, num_resamples: int = NUM_RESAMPLES, seed: int = SEED
) -> Floats:
    """(R, K) sums over R draws, with replacement, of as many clusters as there are.

    values: (N, K) of the items.
    clusters: (N,) the cluster of each item, as `cluster_of` gives it.
    num_resamples: R.
    seed: of the draws.
    """
    items = np.asarray(values, dtype=np.float64)
    num_clusters = int(clusters.max()) + 1
    per_cluster = np.zeros((num_clusters, items.shape[1]))
    np.add.at(per_cluster, clusters, items)
    rows, sizes = np.unique(per_cluster, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(rows))
    parts = [
        rng.multinomial(num_clusters, sizes / num_clusters, size=min(step, num_resamples - start)) @ rows
        for start in range(0, num_resamples, step)
    ]
    return np.concatenate(parts)


def interval(resampled: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Central percentiles of the values (R,) that are defined (a resample can leave a metric without a value)."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(np.asarray(resampled, dtype=np.float64), [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_ratio(
    numerators: ArrayLike,
    denominators: ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> Metric:
    """sum(numerators) / sum(denominators) with its interval: a word error rate, or any micro average.

    numerators: (N,) of the items, for instance their errors.
    denominators: (N,) of the items, for instance their words.
    groups: (N,) what is drawn as a whole (see `cluster_of`).
    num_resamples: how many draws the interval is of.
    seed: of the draws.
    Raises ValueError where all denominators are 0.
    """
    pairs = np.stack([np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)], axis=1)
    if not len(pairs) or pairs[:, 1].sum() == 0:
        raise ValueError("A ratio needs at least one item with a denominator above 0.")
    value = float(pairs[:, 0].sum() / pairs[:, 1].sum())
    if len(pairs) < 2 or not intervals_wanted():
        return Metric(value)
    sums = resampled_sums(pairs, cluster_of(groups, len(pairs)), num_resamples=num_resamples, seed=seed)
    return Metric(value, *interval(_ratio(sums)))


def bootstrap_mean(
    values: ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> Metric:
    """A mean with its interval.

    values: (N,) of the items.
    groups: (N,) what is drawn as a whole (see `cluster_of`).
    num_resamples: how many draws the interval is of.
    seed: of the draws.
    """
    items = np.asarray(values, dtype=np.float64)
    return bootstrap_ratio(items, np.ones_like(items), groups, num_resamples=num_resamples, seed=seed)


def paired_bootstrap(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    units: ArrayLike | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """mean(correct_a) - mean(correct_b) for two systems on the same items, in the same order (Bisani and Ney, 2004).

    The p-value is twice the share of resamples on the far side of zero. The difference itself counts as one resample,
    so it is never 0.

    correct_a: (N,) booleans of the first system, or any score of an item. With `units`, its errors.
    correct_b: (N,) those of the second.
    groups: (N,) what is drawn as a whole (see `cluster_of`).
    units: (N,) among how many words an item's errors are. All errors over all words are then compared.
    num_resamples: how many draws the interval is of.
    seed: of the draws.
    Raises ValueError for systems that are not scored on the same items, and for items without a single unit.
    """
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"Two systems must be scored on the same items, not on {a.shape} and {b.shape}.")
    # The same draws for both: only the gaps matter, and items that are hard for both cancel out.
    gaps = a - b
    sizes = np.ones_like(gaps) if units is None else np.asarray(units, dtype=np.float64)
    if sizes.sum() <= 0:
        raise ValueError("Two systems cannot be compared on items without a single unit.")
    value = float(gaps.sum() / sizes.sum())
    if len(gaps) < 2:
        return Difference(value, None, None, None)
    pairs = np.stack([gaps, sizes], axis=1)
    resampled = _ratio(resampled_sums(pairs, cluster_of(groups, len(gaps)), num_resamples=num_resamples, seed=seed))
    # The one more in both counts is the difference itself.
    smaller_side = min(int((resampled <= 0).sum()), int((resampled >= 0).sum()))
    p_value = min(1.0, 2 * (smaller_side + 1) / (num_resamples + 1))
    return Difference(value, *interval(resampled), p_value)


def across_seeds(
    values: ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> Metric:
    """The mean over runs and items.

    The items are drawn jointly for all runs, so the interval is that of the test set, for the average run.

    values: (num_runs, N), one run for each training seed, on the same items.
    groups: (N,) what is drawn as a whole (see `cluster_of`).
    num_resamples: how many draws the interval is of.
    seed: of the draws.
    Raises ValueError for values of another shape.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim != 2 or not runs.size:
        raise ValueError(f"values must be (runs, items), not {runs.shape}.")
    return bootstrap_mean(runs.mean(axis=0), groups, num_resamples=num_resamples, seed=seed)


def _ratio(sums: Floats) -> Floats:
    """(R, 2) -> (R,). NaN where a resample has no denominator."""
    ratios = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=ratios, where=sums[:, 1] > 0)
    return ratios
