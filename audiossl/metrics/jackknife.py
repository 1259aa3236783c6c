"""Intervals and paired tests by leaving out one cluster after the other (the jackknife, Tukey, 1958).

A figure of G clusters is computed G times more, each time without one of them. How much it moves says how much it owes
to whom it was measured on: variance = (G - 1) / G * sum of squared moves.

* Shares of 1 get an interval on the logit scale, costs on the log scale: it stays within its bounds, and is longer on
  the side on which there is room.
* Few clusters, or few errors in all of them, say little about how clusters differ. The variance of a share or an error
  rate is therefore a mean with what `PRIOR_CLUSTERS` more clusters would say whose items are correlated by
  `PRIOR_CORRELATION`.
* The quantile is Student's, with as many degrees of freedom as the moves imply by their kurtosis (Satterthwaite, 1946)
  (beyond that of the counts themselves) and the clusters by their sizes, at most G - 1: where one cluster decides
  much, the variance is known badly.
* Where nothing (or everything) is wrong, no cluster moves anything. The interval is then the exact one of Clopper and
  Pearson (1934) for as many independent items as there are, given `PRIOR_CORRELATION`.

`benchmarks/interval_coverage.py` measures how often such intervals hold the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats

CONFIDENCE = 0.95
PRIOR_CLUSTERS = 2.0
PRIOR_CORRELATION = 0.1  # of two items of one speaker: what published corpora have is 0.05 to 0.2
FEWEST_FOR_P = 6  # with 5 clusters, an exact test of signs cannot reach 0.05

_MOST_TIMES = 20.0  # an error rate that may be 20 times as high is not known
_ROUNDING = 1e-12

Scale = Literal["share", "rate", "real"]
_wanted: ContextVar[bool] = ContextVar("wanted", default=True)


class Estimate(NamedTuple):
    """A figure, and what it would be without each cluster.

    value: of all items.
    without: (G,) of all items but those of one cluster. NaN where they give no figure.
    scale: 'share' lies between 0 and 1, 'rate' is not negative, 'real' is any number.
    num_items: of how many items (words, ...) of equal weight it is, that are right or wrong. None where it is no count.
    """

    value: float
    without: Floats
    scale: Scale = "real"
    num_items: float | None = None


class Difference(NamedTuple):
    """First system minus second.

    value: the difference.
    low, high: its 95 % interval, None where there is none.
    p_value: two-sided, of no difference. None below `FEWEST_FOR_P` clusters.
    num_clusters: how many there are.
    cluster: what one is.
    remark: why there is no interval or p-value, or what a reader must know of the clusters.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    num_clusters: int | None = None
    cluster: str = ""
    remark: str = ""


@contextmanager
def no_intervals() -> Iterator[None]:
    """Within this, metrics are values alone: an evaluation in training only ranks weights."""
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def intervals_wanted() -> bool:
    """Whether metrics are to have intervals: not within `no_intervals`."""
    return _wanted.get()


def independent_items(num_items: float, clusters: Clusters) -> float:
    """How many independent items tell as much as these, of which those of a cluster are correlated.

    >>> round(independent_items(100, Clusters(np.repeat(np.arange(10), 10))), 1)
    52.6
    """
    return num_items / (1 + PRIOR_CORRELATION * max(num_items / clusters.num_equal - 1, 0.0))


def metric_of(estimate: Estimate, clusters: Clusters) -> Metric:
    """The figure with its interval, or a word why it has none.

    clusters: of the items. The estimate may be without groups of them.
    """
    if not intervals_wanted():
        return Metric(estimate.value)
    made = Metric(estimate.value, None, None, clusters.num, clusters.kind, clusters.remark)
    why = _why_no_interval(estimate, clusters)
    if not why:
        low, high = _exact(estimate, clusters) if _is_degenerate(estimate) else _around(estimate, clusters)
        if estimate.scale != "rate" or not estimate.value or high <= _MOST_TIMES * estimate.value:
            return made._replace(low=low, high=high)
        why = f"no interval: {clusters.num} {clusters.kind}s are too few"
    return made._replace(remark=_joined(why, clusters.remark))


def correlation_metric(estimate: Estimate, clusters: Clusters) -> Metric:
    """As `metric_of`, of a figure between -1 and 1: its interval is made on Fisher's z scale and stays between them.

    estimate: the figure.
    clusters: of the items.
    """
    # logit((1 + r) / 2) is twice Fisher's z: a correlation is a share of the way from -1 to 1.
    share = Estimate((1 + estimate.value) / 2, (1 + estimate.without) / 2, "share")
    made = metric_of(share, clusters)
    low, high = (None if end is None else 2 * end - 1 for end in (made.low, made.high))
    return made._replace(value=estimate.value, low=low, high=high)


def difference_of(
    first: Estimate, second: Estimate, clusters: Clusters, *, num_apart: int | None = None, num_compared: int = 1
) -> Difference:
    """Two systems on the same items: what they differ by on each cluster decides, so that hard ones cancel out.

    first: of the first system.
    second: of the second, without the same clusters.
    clusters: of the items.
    num_apart: on how many of them the two differ. None where that is not known.
    num_compared: of how many such differences this one was picked by what it is. Interval and p-value hold for all of
        them at once (Bonferroni).
    """
    gap = Estimate(first.value - second.value, first.without - second.without)
    made = Difference(gap.value, None, None, None, clusters.num, clusters.kind, clusters.remark)
    moves = gap.without - gap.value
    defined, moving = bool(np.isfinite(moves).all()), bool((np.abs(moves) > _ROUNDING).any())
    if defined and not moving and abs(gap.value) < _ROUNDING:
        return made._replace(p_value=1.0, remark=_joined("the two never differ", clusters.remark))
    why = _why_no_interval(gap, clusters)
    if not why:
        variance, freedom = _variance(moves), _freedom(moves, clusters)
        half = _quantile(freedom, num_compared) * variance**0.5
        made = made._replace(low=gap.value - half, high=gap.value + half)
    if clusters.num < FEWEST_FOR_P:
        why = _joined(why, f"no p-value of fewer than {FEWEST_FOR_P} {clusters.kind}s")
    elif defined:
        p_value = 0.0 if why else float(2 * special.stdtr(freedom, -abs(gap.value) / variance**0.5))
        # No test is sharper than an exact one: n signs are all alike in one of 2 ** (n - 1) cases.
        least = 2.0 ** (1 - (clusters.num if num_apart is None else num_apart))
        made = made._replace(p_value=min(1.0, max(p_value * num_compared, least)))
    return made._replace(remark=_joined(why, clusters.remark))


def _why_no_interval(estimate: Estimate, clusters: Clusters) -> str:
    kind = clusters.kind
    if clusters.num < 2:
        return f"no interval of one {kind}"
    if not np.isfinite(estimate.value):
        return "no interval without a value"
    if not np.isfinite(estimate.without).all():
        return f"no interval: without some {kind} nothing is left to compute it from"
    if estimate.num_items is None and _is_degenerate(estimate):
        return "no interval at an end of the scale"
    if estimate.num_items is None and (np.abs(estimate.without - estimate.value) < _ROUNDING).all():
        return f"no interval: every {kind} is like the others"
    return ""


def _is_degenerate(estimate: Estimate) -> bool:
    """Whether the figure lies at an end of its scale, where the clusters say nothing of its spread."""
    bounds = {"share": (0.0, 1.0), "rate": (0.0,), "real": ()}[estimate.scale]
    return any(abs(estimate.value - bound) < _ROUNDING for bound in bounds)


def _exact(estimate: Estimate, clusters: Clusters) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share at 0 or 1. Of a rate at 0, that of a count of 0 (Garwood, 1936)."""
    count, tail = independent_items(estimate.num_items or 1.0, clusters), (1 - CONFIDENCE) / 2
    if estimate.scale == "rate":
        return 0.0, float(-np.log(tail) / count)
    far = float(tail ** (1 / count))
    return (far, 1.0) if estimate.value > 0.5 else (0.0, 1 - far)


def _around(estimate: Estimate, clusters: Clusters) -> tuple[float, float]:
    value, scale = estimate.value, estimate.scale
    variance, freedom = spread_of(estimate, clusters)
    half = _quantile(freedom) * variance**0.5
    if scale == "real":
        return value - half, value + half
    if scale == "rate":
        factor = float(np.exp(min(half / value, 100.0)))
        return value / factor, value * factor
    middle, half = special.logit(value), half / (value * (1 - value))
    low, high = float(special.expit(middle - half)), float(special.expit(middle + half))
    least, most = _of_rare(estimate, clusters)
    return max(low, least), min(high, most)


def _of_rare(estimate: Estimate, clusters: Clusters) -> tuple[float, float]:
    """What a share cannot lie outside of, where errors (or successes) are too rare for clusters to tell their spread.

    A single error among many items is one odd cluster, of which a spread has a single degree of freedom. The interval
    is then no wider than Clopper and Pearson's of one error more, among as many independent items as in `_exact`.
    """
    count = independent_items(estimate.num_items or 1.0, clusters)
    wrong, right = (1 - estimate.value) * count, estimate.value * count
    tail = (1 - CONFIDENCE) / 2
    least = float(special.betaincinv(right - 1, wrong + 2, tail)) if wrong <= 1 < right else 0.0
    most = float(special.betaincinv(right + 2, wrong - 1, 1 - tail)) if right <= 1 < wrong else 1.0
    return least, most


def spread_of(estimate: Estimate, clusters: Clusters) -> tuple[float, float]:
    """(variance, degrees of freedom) of a figure, as its interval takes them.

    clusters: of the items. The estimate has a value without each of them, or without groups of them.
    """
    moves, expected = estimate.without - estimate.value, 0.0
    variance = _variance(moves)
    if estimate.num_items is not None:
        count, spread = _count_and_spread(estimate, clusters)
        weight = len(moves) - 1
        variance = (weight * variance + PRIOR_CLUSTERS * spread / count) / (weight + PRIOR_CLUSTERS)
        # Rare errors make heavy tails by themselves, as counts do: of n independent items, about 1 / (n spread).
        expected = len(moves) / estimate.num_items / spread
    return variance, _freedom(moves, clusters, expected)


def middle_of(estimate: Estimate, clusters: Clusters) -> float:
    """The value, half an error and half a success away from the ends of its scale where it is a count of items."""
    if estimate.num_items is None or not _is_degenerate(estimate):
        return estimate.value
    count, is_share = independent_items(estimate.num_items, clusters), estimate.scale == "share"
    return (estimate.value * count + 0.5) / (count + is_share)


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The average run, on the same clusters. Its interval is that of the test set and says nothing of other seeds.

    Raises ValueError for no estimate, and for clusters that differ in number.
    """
    if len({each.without.shape for each in estimates}) != 1:
        raise ValueError("An average run needs at least one run, and the same clusters in all of them.")
    value = float(np.mean([each.value for each in estimates]))
    return estimates[0]._replace(value=value, without=np.mean([each.without for each in estimates], axis=0))


def _count_and_spread(estimate: Estimate, clusters: Clusters) -> tuple[float, float]:
    """How many independent items a figure of items is of, and the variance of one of them.

    Half an error more and half a success more: the spread is not 0 where the first is still to come.
    """
    count, is_share = independent_items(estimate.num_items or 1.0, clusters), estimate.scale == "share"
    near = (estimate.value * count + 0.5) / (count + is_share)
    return count, near * (1 - near) if is_share else near


def _variance(moves: Floats) -> float:
    return float((len(moves) - 1) / len(moves) * (moves**2).sum())


def _freedom(moves: Floats, clusters: Clusters, expected: float = 0.0) -> float:
    """Degrees of freedom of a variance estimated from moves, at most one less than clusters of equal size tell as much.

    From moves with kurtosis k there are 2 / (2 / (G - 1) + k / G).

    moves: (G,).
    clusters: of the items.
    expected: the kurtosis that moves would have if clusters did not differ.
    """
    squares, num = moves**2, len(moves)
    kurtosis = num * float((squares**2).sum() / max(squares.sum() ** 2, 1e-300)) - 3 - expected
    freedom = 2 / (2 / (num - 1) + max(kurtosis, 0.0) / num)
    return max(1.0, min(freedom, clusters.num_equal - 1))


def _quantile(freedom: float, num_compared: int = 1) -> float:
    return float(special.stdtrit(freedom, 1 - (1 - CONFIDENCE) / 2 / num_compared))


def _joined(*remarks: str) -> str:
    return "; ".join(filter(None, remarks))
