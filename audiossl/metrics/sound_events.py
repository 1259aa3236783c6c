"""Detection of sound events: F1 by onset, by overlap and by segments, with intervals (Mesaros et al., 2016).

An event has a start, an end and a class. Found events are held against true ones of their class in three ways.

onset     A found event is a hit where it begins at most a collar before or after a true one.
overlap   It is a hit where the time that both have is a share of the time that either has: intersection over union.
segment   Time is cut into segments of equal length. A class is there in a segment that any of its events touches.

Of the first two, no event is in two pairs, and as many are paired as can be (a maximum matching, as `sed_eval` and
`mir_eval` have it). With the counts of any number of recordings, F1 = 2 hits / (true + found).

A figure is the mean over the classes that have a true event, which all weigh alike. `_micro` counts the events of all
classes together, false ones of classes without a true event too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiossl.core.ranges import NonNegative, Positive, Range
from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, Ints, clusters_of
from audiossl.metrics.jackknife import Estimate, intervals_wanted, metric_of

SoundEvent = tuple[float, float, str]  # start and end in seconds, class
EVENT_METRICS = ("overlap_f1", "onset_f1", "segment_f1", "overlap_f1_micro", "onset_f1_micro", "segment_f1_micro")
_ROUNDING_S = 1e-9


@dataclass(frozen=True)
class EventScoring:
    """What counts as a hit. The collar and the segments are those of DCASE's challenges, for seconds of sound."""

    collar_s: NonNegative = 0.2
    """Seconds by which a found event may begin before or after the true one, for F1 by onset. Syllables want less."""
    least_overlap: Annotated[float, Range(above=0, most=1)] = 0.5
    """Least share of the time of a found event or the true one that both have, for F1 by overlap."""
    segment_s: Positive = 1.0
    """Seconds of a segment, for F1 by segments."""

    def __str__(self) -> str:
        return (
            f"onset within {self.collar_s:g} s, intersection over union from {self.least_overlap:g}, segments of "
            f"{self.segment_s:g} s"
        )


class EventCounts(NamedTuple):
    """Counts of one class.

    num_true, num_found: events.
    onset_hits, overlap_hits: found events that are hits.
    true_segments, found_segments: where the class is, and where it was found.
    segment_hits: where both.
    """

    num_true: int
    num_found: int
    onset_hits: int
    overlap_hits: int
    true_segments: int
    found_segments: int
    segment_hits: int

    def f1(self, kind: str) -> float:
        """By 'onset', 'overlap' or 'segment'. 0 where nothing is true nor found."""
        hits, true, found = _PLACES[kind]
        return 2 * self[hits] / max(self[true] + self[found], 1)


_PLACES = {"overlap": (3, 0, 1), "onset": (2, 0, 1), "segment": (6, 4, 5)}  # hits, true, found


def event_counts(
    target: Sequence[SoundEvent],
    found: Sequence[SoundEvent],
    labels: Sequence[str],
    scoring: EventScoring,
) -> list[EventCounts]:
    """The counts of each of C classes in one recording.

    target: its true events, in any order.
    found: those that were found in it.
    labels: the C classes. Events of others do not count.
    scoring: what a hit is.
    """
    made = []
    for label in labels:
        ours, theirs = (_spans(each, label) for each in (target, found))
        true, heard = (_touched(spans, scoring.segment_s) for spans in (ours, theirs))
        by_onset = onset_pairs(ours, theirs, scoring.collar_s)
        by_overlap = overlap_pairs(ours, theirs, scoring.least_overlap)
        both = np.intersect1d(true, heard, assume_unique=True)
        sizes = [len(each) for each in (ours, theirs, by_onset, by_overlap, true, heard, both)]
        made.append(EventCounts._make(sizes))
    return made


def onset_pairs(target: Floats, found: Floats, collar_s: float) -> Ints:
    """(P, 2) the numbers of a true and a found event that begin within the collar: most pairs, none of them twice.

    target: (R, 2) start and end of events of one class.
    found: (E, 2) likewise.
    collar_s: by how much starts may differ.
    """
    near = collar_s + _ROUNDING_S
    order = np.argsort(found[:, 0], kind="stable")
    starts = found[order, 0]
    first = np.searchsorted(starts, target[:, 0] - near, side="left")
    last = np.searchsorted(starts, target[:, 0] + near, side="right")
    rows = np.repeat(np.arange(len(target)), last - first)
    return _matched(rows, order[_ranges(first, last)], len(target), len(found))


def overlap_pairs(target: Floats, found: Floats, least: float) -> Ints:
    """(P, 2) as `onset_pairs`, of events whose intersection over union is at least a share.

    target, found: (R, 2) and (E, 2) start and end.
    least: the share.
    """
    order = np.argsort(found[:, 0], kind="stable")
    starts = found[order, 0]
    longest = float((found[:, 1] - found[:, 0]).max()) if len(found) else 0.0
    # Whoever begins before the end of an event, and not so early that it must be over.
    first = np.searchsorted(starts, target[:, 0] - longest, side="left")
    last = np.searchsorted(starts, target[:, 1], side="left")
    rows = np.repeat(np.arange(len(target)), np.maximum(last - first, 0))
    columns = order[_ranges(first, last)]
    ours, theirs = target[rows], found[columns]
    both = np.minimum(ours[:, 1], theirs[:, 1]) - np.maximum(ours[:, 0], theirs[:, 0])
    either = np.maximum(ours[:, 1], theirs[:, 1]) - np.minimum(ours[:, 0], theirs[:, 0])
    fits = (both > 0) & (both >= least * either - _ROUNDING_S)
    return _matched(rows[fits], columns[fits], len(target), len(found))


def event_metrics(counts: ArrayLike, groups: Groups = None, kind: str = "recording") -> dict[str, Metric]:
    """The six figures by their names, `EVENT_METRICS`, with 95 % intervals.

    counts: (N, C, 7) the `EventCounts` of N recordings.
    groups: (N,) what varies as a whole (see `clusters_of`). Without it, recordings do.
    kind: what a group is called.
    Raises ValueError where there is no true event.
    """
    table = np.asarray(counts, dtype=np.int64)
    clusters = clusters_of(groups, len(table), kind) if groups is not None else _each(len(table), kind)
    if not intervals_wanted():
        sums = _checked(table).sum(axis=0)
        return {name: Metric(float(value[0])) for name, value in _figures(sums[None], sums).items()}
    return {name: metric_of(each, clusters) for name, each in event_estimates(table, clusters).items()}


def event_estimates(counts: ArrayLike, clusters: Clusters) -> dict[str, Estimate]:
    """The same figures, with what each of them is without each cluster.

    counts: (N, C, 7).
    clusters: of the N recordings.
    A class that only the cluster has that is left out keeps its figure: nothing is known of it elsewhere.
    """
    table = _checked(np.asarray(counts, dtype=np.int64))
    total = table.sum(axis=0)
    flat = table.reshape(len(table), -1).astype(np.float64)
    without = total - clusters.sums(flat).astype(np.int64).reshape(-1, *total.shape)  # (G, C, 7)
    values, moved = _figures(total[None], total), _figures(without, total)
    # An event is one item of the share. Of a mean over classes, the rare ones decide how many that are.
    there = total[:, 0] > 0
    events = float(total[there, 0].sum())
    worth = float(there.sum() ** 2 / (1 / total[there, 0]).sum())
    return {
        name: Estimate(float(value[0]), moved[name], "share", events if name.endswith("_micro") else worth)
        for name, value in values.items()
    }


def _figures(counts: Ints, total: Ints) -> dict[str, Floats]:
    """(R,) of each figure.

    counts: (R, C, 7).
    total: (C, 7) of all recordings, which say which classes there are, and the figure of one that is in no other.
    """
    there = total[:, 0] > 0
    made: dict[str, Floats] = {}
    for kind, places in _PLACES.items():
        hits, true, found = (counts[..., place] for place in places)
        whole = _ratio(2 * total[:, places[0]], total[:, places[1]] + total[:, places[2]], np.zeros(len(total)))
        classes = _ratio(2 * hits, true + found, np.broadcast_to(whole, hits.shape))
        made[f"{kind}_f1"] = classes[:, there].mean(axis=1)
        made[f"{kind}_f1_micro"] = _ratio(2 * hits.sum(1), (true + found).sum(1), np.full(len(counts), np.nan))
    return {name: made[name] for name in EVENT_METRICS}


def _ratio(above: Ints, below: Ints, otherwise: Floats) -> Floats:
    return np.divide(above, below, out=np.array(otherwise, dtype=np.float64), where=below > 0)


def _checked(table: Ints) -> Ints:
    if table.ndim != 3 or table.shape[-1] != len(EventCounts._fields):
        raise ValueError(f"Counts must be (recordings, classes, {len(EventCounts._fields)}), not {table.shape}.")
    if not table[..., 0].any():
        raise ValueError(f"F1 of events needs a true event, and the {len(table)} recordings have none.")
    return table


def _each(num: int, kind: str) -> Clusters:
    return Clusters(np.arange(num, dtype=np.int64), kind)


def _spans(events: Sequence[SoundEvent], label: str) -> Floats:
    return np.array([event[:2] for event in events if event[2] == label], dtype=np.float64).reshape(-1, 2)


def _touched(spans: Floats, segment_s: float) -> Ints:
    """The numbers of the segments that any span touches, sorted."""
    first = np.floor(spans[:, 0] / segment_s).astype(np.int64)
    last = np.ceil(spans[:, 1] / segment_s).astype(np.int64)
    return np.unique(_ranges(first, last))


def _ranges(first: NDArray[np.int64], last: NDArray[np.int64]) -> Ints:
    """All numbers from each of `first` until before that of `last`, one range after another.

    >>> _ranges(np.array([3, 0]), np.array([5, 1])).tolist()
    [3, 4, 0]
    """
    sizes = np.maximum(last - first, 0)
    begins = np.cumsum(sizes) - sizes
    numbers: Ints = np.arange(sizes.sum()) + np.repeat(first - begins, sizes)
    return numbers


def _matched(rows: Ints, columns: Ints, num_rows: int, num_columns: int) -> Ints:
    """(P, 2) of the most pairs of which none shares a row or a column with another.

    rows, columns: (K,) of the pairs that may be.
    num_rows, num_columns: how many there are.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not len(rows):
        return np.zeros((0, 2), dtype=np.int64)
    graph = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(num_rows, num_columns))
    partner = maximum_bipartite_matching(graph, perm_type="column")
    taken = np.flatnonzero(partner >= 0)
    return np.stack([taken, partner[taken]], axis=1).astype(np.int64)
