"""A figure of each group of items, and the gap between the best group and the worst one.

The gap's interval is the jackknife's over all clusters of the two groups (see `audiossl.metrics.jackknife`). Leaving
out a speaker changes the figure of the group that the speaker is in, or of both groups where the speaker is in both.
The first is the comparison of independent groups, the second a paired one. It is no bootstrap, for groups have few
speakers, and a draw of few speakers with replacement often has only some of them.

Best and worst are chosen by the very figures that are then compared, which by chance alone lie apart. The interval is
therefore one that holds for all pairs of groups at once (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import Clusters, Floats, Ints
from audiossl.metrics.formatting import FEW_CLUSTERS
from audiossl.metrics.jackknife import Difference, Estimate, difference_of

Figure = Callable[[Ints], float]  # of some items, by their numbers


class Gap(NamedTuple):
    """How much worse the worst group is than the best one.

    best, worst: the groups' names, '' where there is no gap.
    difference: not below 0, with an interval that holds for all pairs of groups at once.
    num_pairs: how many pairs that are.
    """

    best: str
    worst: str
    difference: Difference
    num_pairs: int


def gap_between(
    figure: Figure, groups: Mapping[str, Ints], clusters: Clusters, better: Literal["max", "min"]
) -> Gap | None:
    """The gap between the groups that have at least `FEW_CLUSTERS` clusters. None where these are not two.

    figure: of the items with these numbers. It may raise LabelError or ValueError where they give none.
    groups: the numbers of each group's items.
    clusters: of all N items.
    better: whether more or less of the figure is better.
    """
    values = {name: _or_nan(figure, items) for name, items in groups.items() if has_enough(items, clusters)}
    values = {name: value for name, value in values.items() if np.isfinite(value)}
    if len(values) < 2:
        return None
    ranked = sorted(values, key=lambda name: (values[name] if better == "max" else -values[name], name))
    worst, best = ranked[0], ranked[-1]
    both = np.union1d(groups[best], groups[worst])
    _, numbers = np.unique(clusters.of[both], return_inverse=True)
    within = clusters._replace(of=numbers.astype(np.int64))
    place = np.full(len(clusters.of), -1)
    place[both] = within.merged().of
    first, second = (
        Estimate(values[name], _without_each(figure, groups[name], place, values[name])) for name in (best, worst)
    )
    if better == "min":
        first, second = second, first
    num_pairs = len(values) * (len(values) - 1) // 2
    return Gap(best, worst, difference_of(first, second, within, num_compared=num_pairs), num_pairs)


def has_enough(items: Ints, clusters: Clusters) -> bool:
    """Whether a group is large enough for a claim: the variance of fewer clusters is hardly known."""
    return len(np.unique(clusters.of[items])) >= FEW_CLUSTERS


def _without_each(figure: Figure, items: Ints, place: Ints, value: float) -> Floats:
    """(G,) the figure of a group's items without each cluster, of which some have none of them."""
    own = place[items]
    found = np.full(int(place.max()) + 1, value)
    for cluster in np.unique(own):
        left = items[own != cluster]
        found[cluster] = _or_nan(figure, left) if len(left) else np.nan
    return found


def _or_nan(figure: Figure, items: Ints) -> float:
    try:
        return figure(items)
    except (LabelError, ValueError):
        return float("nan")
