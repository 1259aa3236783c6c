"""Accuracy, unweighted average recall and macro F1, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from audiossl.core.types import Metric
from audiossl.metrics.bootstrap import NUM_RESAMPLES, SEED, Floats, Ints, cluster_of, interval, intervals_wanted

_CHUNK = 2**23  # most cell counts held at once: 64 MB


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
    targets: Sequence[str],
    predicted: Sequence[str],
    groups: Sequence[str | None] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = SEED,
) -> dict[str, Metric]:
    """`accuracy`, `uar` and `f1` of N predictions by their names, with 95 % intervals.

    Work and memory grow with the number of cells of the confusion matrix that are not empty, at most N, so that a
    thousand speakers are as cheap as ten words.

    targets: (N,) what is right.
    predicted: (N,) what was chosen.
    groups: (N,) speakers, who are drawn as a whole (see `cluster_of`).
    num_resamples: how many draws the intervals are of.
    seed: of the draws.
    Raises ValueError for no predictions, or another number of them than of targets.
    """
    if len(targets) != len(predicted) or not len(targets):
        raise ValueError(f"{len(predicted)} predictions for {len(targets)} targets; there must be one for each.")
    # All three metrics are functions of the cells of the confusion matrix that are not empty.
    classes = {label: row for row, label in enumerate(sorted({*targets, *predicted}))}
    pairs = np.array([[classes[target], classes[guess]] for target, guess in zip(targets, predicted, strict=True)])
    cells, cell_of, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    cell_of = cell_of.reshape(-1)
    values = _of_cells(sizes[None].astype(np.float64), cells, len(classes))
    if len(targets) < 2 or not intervals_wanted():
        return {name: Metric(float(value[0])) for name, value in values.items()}
    # A resample is a new count of each cell. As many are drawn at once as memory allows.
    clusters = cluster_of(groups, len(targets))
    step = max(1, _CHUNK // max(len(cells), int(clusters.max()) + 1))
    rng = np.random.default_rng(seed)
    parts = [
        _of_cells(_draw(cell_of, sizes, clusters, min(step, num_resamples - start), rng), cells, len(classes))
        for start in range(0, num_resamples, step)
    ]
    return {
        name: Metric(float(value[0]), *interval(np.concatenate([part[name] for part in parts])))
        for name, value in values.items()
    }


def _draw(cell_of: Ints, sizes: Ints, clusters: Ints, num_resamples: int, rng: np.random.Generator) -> Floats:
    """(R, K) how often each of K cells occurs in R resamples of the clusters.

    cell_of: (N,) the cell of each item.
    sizes: (K,) how many items each cell has.
    clusters: (N,) the cluster of each item.
    num_resamples: R.
    rng: what draws.
    """
    num_items, num_clusters = len(cell_of), int(clusters.max()) + 1
    if num_clusters == num_items:  # items: their cells are drawn directly
        return rng.multinomial(num_items, sizes / num_items, size=num_resamples).astype(np.float64)
    drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=num_resamples)
    counts = sparse.csr_array((np.ones(num_items), (clusters, cell_of)), shape=(num_clusters, len(sizes)))
    return np.asarray(counts.T @ drawn.T, dtype=np.float64).T


def _of_cells(counts: Floats, cells: Ints, num_classes: int) -> dict[str, Floats]:
    """Metrics (R,) from counts (R, K) of the cells (K, 2) = (target, prediction)."""
    hit = cells[:, 0] == cells[:, 1]
    support = _by_class(counts, cells[:, 0], num_classes)
    guessed = _by_class(counts, cells[:, 1], num_classes)
    return _metrics(support, guessed, _by_class(counts[:, hit], cells[hit, 0], num_classes))


def _by_class(counts: Floats, classes: Ints, num_classes: int) -> Floats:
    """(R, K) -> (R, C): sum over the cells of each class."""
    shape = (num_classes, len(classes))
    member = sparse.csr_array((np.ones(len(classes)), (classes, np.arange(len(classes)))), shape=shape)
    return np.asarray(member @ counts.T).T


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
