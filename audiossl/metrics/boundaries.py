"""Boundaries of words, syllables or phones: precision, recall, F1, over-segmentation and R-value, with intervals.

A found boundary is a hit where it lies within a tolerance of a true one, and no boundary is in two pairs. Of N true and
M found boundaries with H hits, precision = H / M, recall = H / N and over-segmentation OS = M / N - 1. F1 rises when
boundaries are put everywhere. The R-value (Räsänen, Laine and Altosaar, 2009) does not:

r1 = sqrt((1 - recall)^2 + OS^2), r2 = (recall - 1 - OS) / sqrt(2), R = 1 - (|r1| + |r2|) / 2
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, clusters_of
from audiossl.metrics.jackknife import Estimate, metric_of
from audiossl.metrics.sound_events import onset_pairs

BOUNDARY_METRICS = ("r_value", "f1", "precision", "recall", "over_segmentation")


class BoundaryCounts(NamedTuple):
    """Counts of one recording: boundaries that are true, that were found, and pairs of both."""

    num_true: int
    num_found: int
    num_hits: int


def boundary_counts(true_s: ArrayLike, found_s: ArrayLike, tolerance_s: float) -> BoundaryCounts:
    """The counts of one recording, with as many pairs as can be.

    true_s, found_s: (N,) and (M,) seconds, in any order.
    tolerance_s: by which those of a pair may differ.

    >>> boundary_counts([0.5, 0.54], [0.52], 0.05)
    BoundaryCounts(num_true=2, num_found=1, num_hits=1)
    """
    true, found = (np.repeat(np.asarray(each, dtype=np.float64)[:, None], 2, axis=1) for each in (true_s, found_s))
    return BoundaryCounts(len(true), len(found), len(onset_pairs(true, found, tolerance_s)))


def boundary_estimates(counts: ArrayLike, clusters: Clusters) -> dict[str, Estimate]:
    """The five figures of `BOUNDARY_METRICS`, with what each of them is without each cluster.

    counts: (N, 3) the `BoundaryCounts` of N recordings.
    clusters: of these.
    Raises ValueError where there is no true boundary.
    """
    table = np.asarray(counts, dtype=np.float64).reshape(-1, len(BoundaryCounts._fields))
    total = table.sum(axis=0)
    if not total[0]:
        raise ValueError(f"There is no true boundary in {len(table)} recordings.")
    figures = boundary_figures(np.concatenate([total[None], total - clusters.sums(table)]))
    sizes = {"precision": total[1], "recall": total[0], "f1": (total[0] + total[1]) / 2}
    made = {}
    for name in BOUNDARY_METRICS:
        values, is_share = figures[name], name in sizes
        made[name] = Estimate(
            float(values[0]), values[1:], "share" if is_share else "real", sizes[name] if is_share else None
        )
    return made


def boundary_metrics(counts: ArrayLike, groups: Groups = None, kind: str = "recording") -> dict[str, Metric]:
    """The same, with 95 % intervals.

    counts: (N, 3).
    groups: (N,) what varies as a whole (see `clusters_of`). Without it, recordings do.
    kind: what a group is called.
    """
    num = len(np.asarray(counts))
    clusters = clusters_of(groups, num, kind) if groups is not None else Clusters(np.arange(num), kind)
    return {name: metric_of(each, clusters) for name, each in boundary_estimates(counts, clusters).items()}


def boundary_figures(counts: Floats) -> dict[str, Floats]:
    """(R,) of each figure, from (R, 3) counts. Of no found boundary precision is 0, of no true one all are NaN."""
    true, found, hits = counts.T
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(true > 0, hits / true, np.nan)
        over = np.where(true > 0, found / true - 1, np.nan)
        precision = np.where(true > 0, np.where(found > 0, hits / found, 0.0), np.nan)
        f1 = np.where(true > 0, 2 * hits / (true + found), np.nan)
    far, aside = np.hypot(1 - recall, over), (recall - 1 - over) / np.sqrt(2)
    r_value = 1 - (np.abs(far) + np.abs(aside)) / 2
    return {"r_value": r_value, "f1": f1, "precision": precision, "recall": recall, "over_segmentation": over}
