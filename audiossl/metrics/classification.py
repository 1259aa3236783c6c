"""Accuracy, unweighted average recall and macro F1, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from audiossl.core.types import Metric
from audiossl.metrics.clusters import ITEM, Clusters, Floats, Groups, Ints, clusters_of
from audiossl.metrics.jackknife import Estimate, metric_of


def confusion_matrix(targets: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Ints:
    """(C, C) counts: row = target, column = prediction, in the order of `labels`."""
    index = {label: row for row, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([index[label] for label in targets], [index[label] for label in predicted]), 1)
    return counts


def accuracy(confusion: Ints) -> float:
    """Share of items on the diagonal of a (C, C) confusion matrix."""
    return _of_matrix(confusion)["accuracy"]


def unweighted_average_recall(confusion: Ints) -> float:
    """Mean recall over the classes that occur in the reference (balanced accuracy)."""
    return _of_matrix(confusion)["uar"]


def macro_f1(confusion: Ints) -> float:
    """Mean F1 over the classes that occur in the reference or among the predictions."""
    return _of_matrix(confusion)["f1"]


def classification_metrics(
    targets: Sequence[str], predicted: Sequence[str], groups: Groups = None
) -> dict[str, Metric]:
    """`accuracy`, `uar` and `f1` of N predictions by their names, with 95 % intervals.

    targets: (N,) what is right.
    predicted: (N,) what was chosen.
    groups: (N,) speakers, who vary as a whole (see `clusters_of`). Where each class is one of them, items vary alone.
    Raises ValueError for no predictions, or another number of them than of targets.
    """
    clusters = classified_clusters(targets, groups)
    found = classification_estimates(targets, predicted, clusters)
    single = _classes_of_one(targets, clusters)
    # A class that one speaker alone has says nothing of how speakers differ in it.
    note = f"{single} of {len(set(targets))} classes are of one {clusters.kind} each, who may differ from others"
    unseen = clusters._replace(remark="; ".join(filter(None, [clusters.remark, note if single else ""])))
    return {name: metric_of(each, clusters if name == "accuracy" else unseen) for name, each in found.items()}


def classified_clusters(targets: Sequence[str], groups: Groups) -> Clusters:
    """The clusters of N items with a target each. Raises ValueError for no items."""
    if not len(targets):
        raise ValueError("0 predictions for 0 targets; there must be one for each, and at least one.")
    clusters = clusters_of(groups, len(targets))
    pairs = set(zip(targets, clusters.of.tolist(), strict=True))
    if clusters.kind != ITEM and len(pairs) == clusters.num == len(set(targets)):
        why = f"each class is one {clusters.kind}, so that the interval is over items, for these {clusters.kind}s"
        return clusters.as_items(why)
    return clusters


def classification_estimates(
    targets: Sequence[str], predicted: Sequence[str], clusters: Clusters
) -> dict[str, Estimate]:
    """The same metrics, with what each of them is without each cluster.

    targets, predicted: (N,).
    clusters: of the N items.
    Raises ValueError for another number of predictions than of targets.
    """
    if len(targets) != len(predicted):
        raise ValueError(f"{len(predicted)} predictions for {len(targets)} targets; there must be one for each.")
    names = {label: number for number, label in enumerate(sorted({*targets, *predicted}))}
    truth = np.array([names[label] for label in targets])
    guess = np.array([names[label] for label in predicted])
    right = (truth == guess).astype(np.float64)
    sizes = clusters.sums(np.ones(len(right)))
    hits = clusters.sums(right)
    left = np.maximum(len(right) - sizes, 1.0)
    accuracy = Estimate(
        float(right.mean()),
        np.where(sizes < len(right), (right.sum() - hits) / left, np.nan),
        "share",
        float(len(right)),
    )
    # Recall and F1 are means over classes of a ratio of sums over items that have to do with the class.
    support = np.bincount(truth, minlength=len(names)).astype(np.float64)
    worth = float((support > 0).sum() ** 2 / (1 / support[support > 0]).sum())
    recall = _mean_ratio(truth, 2 * right, np.full(len(right), 2.0), clusters)
    both, halves = np.concatenate([truth, guess]), np.ones(2 * len(right))
    twice = Clusters(np.concatenate([clusters.of, clusters.of]), clusters.kind)
    f1 = _mean_ratio(both, np.concatenate([right, right]), halves, twice)
    return {
        "accuracy": accuracy,
        "uar": Estimate(*recall, "share", worth),
        "f1": Estimate(*f1, "share", worth),
    }


def _mean_ratio(classes: Ints, above: Floats, below: Floats, clusters: Clusters) -> tuple[float, Floats]:
    """Mean over classes of sum(above) / sum(below), and (G,) without each cluster.

    A class that only the cluster has that is left out keeps its ratio: nothing is known of it elsewhere.

    classes: (N,) of the items.
    above, below: (N,) numerators and denominators.
    clusters: of the N items.
    """
    num_classes = int(classes.max()) + 1
    # Only the cells (cluster, class) with an item move: as many as there are items at most.
    cells, cell_of = np.unique(clusters.of * num_classes + classes, return_inverse=True)
    top, bottom = (np.bincount(cell_of, weights=values) for values in (above, below))
    owner, kind = cells // num_classes, cells % num_classes
    tops, bottoms = (np.bincount(classes, weights=values, minlength=num_classes) for values in (above, below))
    there = bottoms > 0
    ratios = np.divide(tops, bottoms, out=np.zeros(num_classes), where=there)
    left = bottoms[kind] - bottom
    changed = np.divide(tops[kind] - top, left, out=ratios[kind], where=left > 0)
    moves = np.bincount(owner, weights=changed - ratios[kind], minlength=clusters.num)
    value = float(ratios.sum() / there.sum())
    return value, value + moves / there.sum()


def _classes_of_one(targets: Sequence[str], clusters: Clusters) -> int:
    """How many classes have all their items in one cluster, where clusters are no single items."""
    if clusters.kind == ITEM:
        return 0
    cells = set(zip(targets, clusters.of.tolist(), strict=True))
    return sum(count == 1 for count in Counter(target for target, _ in cells).values())


def _of_matrix(confusion: Ints) -> dict[str, float]:
    counts = np.asarray(confusion, dtype=np.float64)
    values = _metrics(counts.sum(1)[None], counts.sum(0)[None], counts.diagonal()[None])
    return {name: float(value[0]) for name, value in values.items()}


def _metrics(support: Floats, guessed: Floats, hits: Floats) -> dict[str, Floats]:
    """From (R, C) numbers of targets, of predictions and of hits. A class that is not there is not averaged over."""
    return {
        "accuracy": hits.sum(1) / support.sum(1),
        "uar": _mean_where(hits, support),
        "f1": _mean_where(2 * hits, support + guessed),
    }


def _mean_where(numerator: Floats, denominator: Floats) -> Floats:
    """(R,) mean over the classes with a denominator above 0 of numerator / denominator, both (R, C)."""
    there = denominator > 0
    ratios = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=there)
    return np.asarray(ratios.sum(1) / there.sum(1), dtype=np.float64)
