"""What varies as a whole: the items of one speaker are alike, so that speakers, not items, are what chance deals in.

An interval says how a figure would differ on other clusters. Ten speakers are ten observations, however many items
each of them has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 0
MOST_DELETED = 200  # clusters that are left out one by one where a figure is dear
ITEM = "item"


class Clusters(NamedTuple):
    """Which items belong together.

    of: (N,) the cluster of each item, from 0 without a gap.
    kind: what a cluster is, in the singular: 'speaker', 'recording', 'item'.
    remark: what a reader must know of them.
    """

    of: Ints
    kind: str = ITEM
    remark: str = ""

    @property
    def num(self) -> int:
        """G, how many there are."""
        return int(self.of.max()) + 1 if len(self.of) else 0

    @property
    def num_equal(self) -> float:
        """How many clusters of equal size are worth as much as these: (sum n)^2 / sum n^2."""
        sizes = np.bincount(self.of).astype(np.float64)
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    def sums(self, values: Floats) -> Floats:
        """(G,) or (G, K) sums over the items of each cluster, from values (N,) or (N, K)."""
        made = np.zeros((self.num, *values.shape[1:]))
        np.add.at(made, self.of, values)
        return made

    def merged(self, most: int = MOST_DELETED) -> Clusters:
        """At most this many, put together at random where there are more. Small sets stay as they are."""
        if self.num <= most:
            return self
        place = np.random.default_rng(SEED).permutation(self.num) % most
        return self._replace(of=place[self.of].astype(np.int64))

    def as_items(self, why: str) -> Clusters:
        """Each item on its own, and why."""
        return Clusters(np.arange(len(self.of), dtype=np.int64), ITEM, why)


Groups = Clusters | Sequence[str | None] | None


def clusters_of(groups: Groups, num_items: int, kind: str = "speaker", names: Sequence[str] = ()) -> Clusters:
    """The clusters of N items. Items without a group count as one cluster, which the remark says.

    groups: (N,) the group of each item, None where it is not known. Clusters stay what they are.
    num_items: N.
    kind: what a group is.
    names: (N,) ids of the items, for the remark.
    Every item is a cluster of its own where no group is known, or only one.

    >>> clusters_of(["ann", "bob", "ann"], 3).of.tolist(), clusters_of(["ann", None, "bob"], 3).remark
    ([0, 1, 0], '1 of 3 items has no speaker, the first is item 2: such items count as one speaker')
    """
    given = groups.of if isinstance(groups, Clusters) else groups
    if given is not None and len(given) != num_items:
        raise ValueError(f"{len(given)} groups for {num_items} items.")
    if isinstance(groups, Clusters):
        return groups
    items = Clusters(np.arange(num_items, dtype=np.int64))
    known = sorted({str(group) for group in groups or () if group is not None})
    if groups is None or not known:
        return items
    missing = [place for place, group in enumerate(groups) if group is None]
    without = _without_group(missing, num_items, kind, names) if missing else ""
    if len(known) == 1:
        only = f"{without}, the others are of one" if missing else f"all items are of one {kind}"
        return items.as_items(f"{only}: the interval is over items, and says nothing of another {kind}")
    # All items without a group are the last cluster: as many as there are may be of one speaker.
    number = {group: place for place, group in enumerate(known)}
    of = [len(known) if group is None else number[str(group)] for group in groups]
    remark = f"{without}: such items count as one {kind}" if missing else ""
    return Clusters(np.array(of, dtype=np.int64), kind, remark)


def clusters_of_rows(rows: Sequence[Mapping[str, Any]], kind: str = "speaker") -> Clusters:
    """The clusters of predictions: their `group` where they have one, else their `speaker`.

    kind: what the task's groups are called.
    """
    groups = [row["group"] if "group" in row else row.get("speaker") for row in rows]
    return clusters_of(groups, len(rows), kind, [str(row.get("id", "")) for row in rows])


def _without_group(missing: Sequence[int], num_items: int, kind: str, names: Sequence[str]) -> str:
    first = repr(names[missing[0]]) if names else f"item {missing[0] + 1}"
    have = "has" if len(missing) == 1 else "have"
    return f"{len(missing)} of {num_items} items {have} no {kind}, the first is {first}"
