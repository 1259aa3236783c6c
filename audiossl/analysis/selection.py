"""Which of many windows to annotate next: those of which a run is unsure, and of these some that differ.

Uncertainty of a window with one label: 1 - (highest probability - second highest), the margin, or the entropy of its
probabilities by that of a guess (Settles, Active learning literature survey, 2009). With any number of labels: that of
the class that the run is least sure of. Diversity: of the most uncertain windows, each next one is the one farthest
from all that are chosen or annotated (the greedy core-set of Sener and Savarese, 2018, arXiv:1708.00489). Nothing is
random.
"""

from __future__ import annotations

import numpy as np

from audiossl.metrics.clusters import Floats, Ints


def uncertainty(scores: Floats, measure: str = "margin", *, one_label: bool = True) -> Floats:
    """(N,) from 0 (sure) to 1.

    scores: (N, C) probabilities, which sum to 1 where an item has one label.
    measure: margin or entropy.
    one_label: whether it has. If not, each class is there or not.

    >>> uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    if not one_label:
        both = np.stack([scores, 1 - scores], axis=-1)  # (N, C, 2)
        return np.asarray(uncertainty(both.reshape(-1, 2), measure).reshape(scores.shape).max(axis=1))
    if measure == "entropy":
        logs = np.log(np.maximum(scores, 1e-12))
        return np.asarray(-(scores * logs).sum(axis=1) / np.log(scores.shape[1]))
    ranked = np.sort(scores, axis=1)
    return np.asarray(1 - (ranked[:, -1] - ranked[:, -2]))


def select(unsure: Floats, vectors: Floats, count: int, *, pool: int = 10, known: Floats | None = None) -> Ints:
    """Places of at most `count` items, in the order in which they are chosen.

    unsure: (N,) uncertainty.
    vectors: (N, D), in which distances are Euclidean.
    count: how many.
    pool: they are among the `pool` times as many that are most uncertain. 1 for uncertainty alone.
    known: (K, D) of what is annotated. The first one is then far from it, else the most uncertain one.
    """
    candidates = np.argsort(-unsure, kind="stable")[: pool * count]
    points = vectors[candidates]
    away = np.full(len(candidates), np.inf)
    if known is not None and len(known):
        for centre in known:
            away = np.minimum(away, np.square(points - centre).sum(axis=1))
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        place = int(np.argmax(away))  # the most uncertain of equals
        chosen.append(place)
        away = np.minimum(away, np.square(points - points[place]).sum(axis=1))
        away[chosen] = -1.0
    return np.asarray(candidates[chosen], dtype=np.int64)
