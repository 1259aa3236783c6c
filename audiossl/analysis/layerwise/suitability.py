"""How well a layer suits labels, by scores for choosing encoders and layers, with intervals over groups of speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiossl.analysis.layerwise.views import ViewItems
from audiossl.metrics.clusters import Ints
from audiossl.metrics.jackknife import Estimate
from audiossl.metrics.moment_sums import View
from audiossl.metrics.transferability import ClassSums, class_spread, log_evidence, pushed_apart


def suitability(
    vectors: View, items: ViewItems, groups: Ints, num_groups: int, scores: Sequence[str]
) -> dict[str, Estimate]:
    """Each score of all items, and without each group. Nothing is held out: no score has a test part.

    vectors: (N, D) of a layer.
    items: with their labels or numbers. Of numbers there is LogME alone.
    groups: (N,) the group of speakers of each.
    num_groups: G.
    scores: of logme, ped and tmi.
    """
    wanted = [name for name in scores if name == "logme" or items.labels is not None]
    whole = ClassSums.of(vectors, items.values)
    parts = [whole]
    if set(wanted) - {"tmi"}:
        parts += [_without(whole, vectors, items, groups == group) for group in range(num_groups)]
    found = {}
    if "logme" in wanted:
        found["logme"] = _estimate([log_evidence(part.known) for part in parts])
    if "ped" in wanted:
        found["ped"] = _estimate([log_evidence(pushed_apart(part)) for part in parts])
    if "tmi" in wanted and items.labels is not None:
        found["tmi"] = class_spread(vectors, items.labels, groups, num_groups)
    return found


def _without(whole: ClassSums, vectors: View, items: ViewItems, mine: View) -> ClassSums:
    return whole.minus(ClassSums.of(vectors[mine], items.values[mine]))


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(values[0], np.array(values[1:]))
