"""Same or different: average precision of telling pairs of segments of one word from pairs of different words.

The same-different task (Carlin et al., 2011): all pairs of N segments are ranked by their distance, and precision is
averaged over recall. `across` speakers, pairs of one word count where they are by two, against all pairs of different
words. Pairs of one word by one speaker are then left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audiossl.metrics.clusters import Clusters, Floats, Ints
from audiossl.metrics.jackknife import Estimate

Flags = npt.NDArray[np.bool_]


class SegmentPairs(NamedTuple):
    """P pairs of N segments.

    first, second: (P,) numbers of the segments.
    same: (P,) whether both are of one word.
    """

    first: Ints
    second: Ints
    same: Flags


def pairs_of(labels: Sequence[str], speakers: Sequence[str] = ()) -> SegmentPairs:
    """All pairs of segments, or with speakers those that count `across` speakers.

    Raises ValueError where no two are of one word, or all are.
    """
    _, words = np.unique(np.asarray(labels), return_inverse=True)
    first, second = np.triu_indices(len(words), k=1)
    same = words[first] == words[second]
    if len(speakers):
        _, voices = np.unique(np.asarray(speakers), return_inverse=True)
        counted = ~(same & (voices[first] == voices[second]))
        first, second, same = first[counted], second[counted], same[counted]
    if not same.any() or same.all():
        raise ValueError("Telling same from different needs pairs of one word and pairs of different words.")
    return SegmentPairs(first.astype(np.int64), second.astype(np.int64), same)


def average_precision(distances: Floats, same: Flags) -> float:
    """The mean over pairs of one word of the precision among pairs that are not farther apart.

    distances, same: (P,).

    >>> average_precision(np.array([0.1, 0.2, 0.3]), np.array([True, False, True])).__round__(4)
    0.8333
    """
    order = np.argsort(distances, kind="stable")
    return _precision(distances[order], same[order])


def precision_estimate(distances: Floats, pairs: SegmentPairs, clusters: Clusters) -> Estimate:
    """Average precision, and what it is without the segments of each cluster.

    distances: (P,) of the pairs.
    pairs: of N segments.
    clusters: of the N segments. NaN without one that has all pairs of a kind.
    """
    merged = clusters.merged()
    order = np.argsort(distances, kind="stable")
    ranked, same = distances[order], pairs.same[order]
    sides = merged.of[pairs.first[order]], merged.of[pairs.second[order]]
    without = np.full(merged.num, np.nan)
    for number in range(merged.num):
        left = (sides[0] != number) & (sides[1] != number)
        if same[left].any() and not same[left].all():
            without[number] = _precision(ranked[left], same[left])
    return Estimate(_precision(ranked, same), without, "share")


def _precision(ranked: Floats, same: Flags) -> float:
    """Of distances from the least up. Equal ones are taken together."""
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(same)[ends]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (ends + 1)).sum() / hits[-1])
