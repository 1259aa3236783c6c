"""From the scores of windows to events: when in a recording something is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Event(NamedTuple):
    """A stretch in which a label's score is at least the threshold.

    score: the highest in it.
    """

    start_s: float
    end_s: float
    label: str
    score: float


def scores_over_time(spans: Sequence[tuple[float, float]], scores: Floats) -> tuple[Floats, Floats]:
    """Edges (E + 1,) in seconds and, between two of them, the mean (E, C) over the windows that cover it.

    spans: (start, end) of W windows.
    scores: (W, C) their scores.
    The mean is NaN where no window is.
    """
    times = np.asarray(spans, dtype=np.float64).round(6)  # a microsecond: windows that meet have one edge
    edges = np.unique(times)
    first, last = np.searchsorted(edges, times[:, 0]), np.searchsorted(edges, times[:, 1])
    changes = np.zeros((len(edges), scores.shape[1] + 1))
    with_count = np.concatenate([scores, np.ones((len(scores), 1))], axis=1)
    np.add.at(changes, first, with_count)
    np.add.at(changes, last, -with_count)
    sums = np.cumsum(changes, axis=0)[:-1]
    count = np.round(sums[:, -1:])
    return edges, np.where(count > 0, sums[:, :-1] / np.maximum(count, 1), np.nan)


def events_of(
    spans: Sequence[tuple[float, float]],
    scores: Floats,
    labels: Sequence[str],
    thresholds: ArrayLike = 0.5,
    shortest_s: float = 0.0,
) -> list[Event]:
    """Events in the order of time. Overlapping windows are averaged, neighbouring stretches are one event.

    spans: (start, end) of W windows, in seconds.
    scores: (W, C) their scores.
    labels: the C labels.
    thresholds: the mean score from which on a label is heard, for all labels or (C,).
    shortest_s: shorter events are left out.
    """
    edges, values = scores_over_time(spans, scores)
    found = []
    for number, (label, threshold) in enumerate(zip(labels, np.broadcast_to(thresholds, len(labels)), strict=True)):
        above = np.append(np.nan_to_num(values[:, number], nan=-1.0) >= threshold, False)
        starts = np.flatnonzero(above & ~np.append(False, above[:-1]))
        stops = np.flatnonzero(~above & np.append(False, above[:-1]))
        for start, stop in zip(starts, stops, strict=True):
            if edges[stop] - edges[start] >= shortest_s:
                score = round(float(values[start:stop, number].max()), 6)
                found.append(Event(round(float(edges[start]), 6), round(float(edges[stop]), 6), label, score))
    return sorted(found)
