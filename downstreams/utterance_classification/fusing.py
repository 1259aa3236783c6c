"""Late fusion: the probabilities of several runs as one, their weighted mean (a linear opinion pool, Stone, 1961).

Weights are equal, or those under which the mean makes the labels of dev likeliest. The likelihood of a mixture is
concave in its weights, so that expectation maximisation finds them (Dempster, Laird and Rubin, 1977).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audiossl.core.errors import AudiosslError
from audiossl.metrics.classification import classification_estimates, classification_metrics, classified_clusters
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.jackknife import difference_of
from audiossl.metrics.probabilities import log_probabilities
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse, check_same_items
from audiossl.training.task import Prediction

_KEPT = ("id", "target", "speaker", "group", "duration_s", "fold", "audio")
_ROUNDS = 500
LEAST = 1e-12  # of a probability


def fuse_labels(runs: Sequence[RunToFuse], weights: FusionWeights, names: Mapping[str, str], group: str) -> Fused:
    """R runs that give one of C labels as one.

    runs: with predictions of dev where weights are fitted on it.
    weights: 'dev' or 'equal'.
    names: what the task calls `accuracy`, `uar` and `f1`.
    group: what varies as a whole, where the runs do not say it.
    Raises AudiosslError where items, targets or labels differ, or nothing has a target.
    """
    labels = common_labels(runs)
    check_same_items([run.test for run in runs])
    shares = _fitted(runs, labels) if weights == "dev" else np.full(len(runs), 1 / len(runs))
    scores, votes = (np.einsum("r,rnc->nc", shares, of([run.test for run in runs])) for of in (_scores, _votes))
    predicted = [labels[best] for best in votes.argmax(axis=1).tolist()]
    calibrated = all(row.get("calibrated") for run in runs for row in run.test)
    rows = [
        {**{key: row[key] for key in _KEPT if key in row}, "predicted": name, "calibrated": calibrated}
        | {"probability": each[labels.index(name)], "scores": each}
        for row, name, each in zip(runs[0].test, predicted, scores.round(6).tolist(), strict=True)
    ]
    known = [place for place, row in enumerate(rows) if row["target"] is not None]
    if not known:
        raise AudiosslError("None of the predictions has a target, so there is nothing to compare; fuse another split.")
    targets, ours = [rows[place]["target"] for place in known], [predicted[place] for place in known]
    monitor = str(runs[0].facts["monitor"])
    kind = str(runs[0].facts["metrics"][monitor].get("cluster") or group)
    clusters = classified_clusters(targets, clusters_of_rows([rows[place] for place in known], _kind(kind, group)))
    compared = next(known for known, name in names.items() if name == monitor)
    fused = classification_estimates(targets, ours, clusters)[compared]
    gaps = []
    for run in runs:
        others = [run.test[place]["predicted"] for place in known]
        apart = {cluster for cluster, a, b in zip(clusters.of.tolist(), ours, others, strict=True) if a != b}
        found = classification_estimates(targets, others, clusters)[compared]
        gaps.append(difference_of(fused, found, clusters, num_apart=len(apart)))
    metrics = classification_metrics(targets, ours, clusters)
    told = {"weights": [round(float(share), 6) for share in shares], "fitted_on": weights, "labels": labels}
    return Fused(rows, {name: metrics[known] for known, name in names.items()}, monitor, gaps, told)


def common_labels(runs: Sequence[RunToFuse]) -> list[str]:
    """The labels that all runs tell apart, in their order. Raises AudiosslError where they differ."""
    first = [str(label) for label in runs[0].facts.get("labels") or ()]
    for number, run in enumerate(runs[1:], start=2):
        labels = [str(label) for label in run.facts.get("labels") or ()]
        if labels != first:
            apart = sorted(set(first) ^ set(labels)) or labels
            raise AudiosslError(
                f"The first run tells {len(first)} labels apart and run {number} {len(labels)}, which differ in "
                f"{', '.join(apart[:5])}; fuse runs of the same labels."
            )
    if not first:
        raise AudiosslError("The runs do not say which labels they tell apart; evaluate them again.")
    return first


def _kind(found: str, group: str) -> str:
    return group if found == "item" else found


def _scores(runs: Sequence[Sequence[Prediction]]) -> Floats:
    """(R, N, C) of what the runs say of the classes."""
    return np.array([[row["scores"] for row in rows] for rows in runs], dtype=np.float64)


def _votes(runs: Sequence[Sequence[Prediction]]) -> Floats:
    """(R, N, C) of what the runs choose by: with the weights of classes that calibrated scores are without."""
    return np.array([[_vote(row) for row in rows] for rows in runs], dtype=np.float64)


def _vote(row: Prediction) -> Any:
    if not row.get("logits"):
        return row["scores"]
    return np.exp(log_probabilities(row["logits"], row.get("temperature") or 1.0))


def _fitted(runs: Sequence[RunToFuse], labels: Sequence[str]) -> Floats:
    """(R,) weights, at least 0, of sum 1."""
    check_same_items([run.dev for run in runs])
    index = {label: place for place, label in enumerate(labels)}
    known = [place for place, row in enumerate(runs[0].dev) if row["target"] in index]
    if not known:
        raise AudiosslError("Nothing of dev has a target to fit the weights on; take --weights equal.")
    numbers = [index[runs[0].dev[place]["target"]] for place in known]
    right = _scores([[run.dev[place] for place in known] for run in runs])[:, np.arange(len(known)), numbers]  # (R, N)
    return mixture_weights(np.maximum(right, LEAST))


def mixture_weights(likelihoods: Floats) -> Floats:
    """The weights (R,) of the mixture that makes N items likeliest.

    likelihoods: (R, N) of each item by each part of the mixture, above 0.

    >>> mixture_weights(np.array([[0.9, 0.9, 0.1], [0.1, 0.1, 0.9]])).round(3).tolist()
    [0.708, 0.292]
    """
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    for _ in range(_ROUNDS):
        owed = weights[:, None] * likelihoods
        weights = (owed / owed.sum(axis=0)).mean(axis=1)
    return weights
