"""One against the rest: how well a score tells each class of items from all others, with intervals.

AUC and equal error rate of each class and their means over classes, which count classes alike. Each interval leaves out
clusters of items, and with them what they say of every class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, metric_of
from audiossl.metrics.multilabel import multilabel_estimates
from audiossl.metrics.verification import equal_error_rate


def detection_metrics(
    targets: Sequence[str], scores: ArrayLike, labels: Sequence[str], clusters: Clusters
) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
    """`auroc` and `eer`: means over the classes, and those of each class that is among the targets but not alone.

    targets: (N,) the class of each item.
    scores: (N, C), higher where an item is more likely of the class.
    labels: the C classes.
    clusters: of the N items.
    Raises ValueError for fewer than two classes among the targets.
    """
    known = [place for place, label in enumerate(labels) if label in set(targets)]
    if len(known) < 2:
        raise ValueError("Detection of one class against the rest needs at least two classes among the targets.")
    values = np.asarray(scores, dtype=np.float64)[:, known]
    truth = np.array([[target == labels[place] for place in known] for target in targets], dtype=np.int64)
    found: dict[str, dict[str, Estimate]] = {}
    for number, place in enumerate(known):
        one, own = truth[:, [number]], values[:, [number]]
        area = multilabel_estimates(one, own, clusters)["auroc"]
        found[labels[place]] = {"auroc": area, "eer": eer_estimate(one[:, 0], own[:, 0], clusters)}
    macro = {name: metric_of(_mean([each[name] for each in found.values()]), clusters) for name in ("auroc", "eer")}
    each = {label: {name: metric_of(one, clusters) for name, one in both.items()} for label, both in found.items()}
    return macro, each


def eer_estimate(targets: ArrayLike, scores: ArrayLike, clusters: Clusters) -> Estimate:
    """The equal error rate, with what it is without each cluster (or group of clusters).

    targets: (N,) of 0 and 1.
    scores: (N,).
    clusters: of the N items. Without one that has all of a kind the rate stays: nothing is known of it elsewhere.
    """
    truth, values, merged = np.asarray(targets, dtype=bool), np.asarray(scores, dtype=np.float64), clusters.merged()
    whole = equal_error_rate(values, truth)
    without: Floats = np.full(merged.num, whole)
    for number in range(merged.num):
        left = merged.of != number
        if truth[left].any() and not truth[left].all():
            without[number] = equal_error_rate(values[left], truth[left])
    worth = 4 / (1 / truth.sum() + 1 / (~truth).sum())
    return Estimate(float(whole), without, "share", float(worth))


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Over classes, whose items are as many as the harmonic mean says: the rarest decides most."""
    value = float(np.mean([each.value for each in estimates]))
    without = np.mean([each.without for each in estimates], axis=0)
    worth = len(estimates) ** 2 / sum(1 / max(each.num_items or 1.0, 1e-9) for each in estimates)
    return Estimate(value, without, "share", float(worth))
