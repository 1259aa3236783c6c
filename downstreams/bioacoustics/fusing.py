"""Late fusion of windows with any number of labels: a weighted mean of the runs' scores, and thresholds for it.

Weights are equal, or those under which the mean makes what is heard and not heard in windows of dev likeliest. With dev
each class is heard from the score on that has the highest F1 there. Without, it is heard where most runs hear it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.bioacoustics.thresholds import FEWEST_WINDOWS, UNKNOWN, best_threshold, significant
from audiossl.downstreams.utterance_classification.fusing import LEAST, common_labels, mixture_weights
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.jackknife import difference_of
from audiossl.metrics.multilabel import multilabel_estimates, multilabel_metrics
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse, check_same_items
from audiossl.training.task import Prediction

_KEPT = ("id", "target", "speaker", "group", "recording", "start_s", "end_s", "calls", "fold", "audio")
Flags = NDArray[np.bool_]


def fuse_windows(runs: Sequence[RunToFuse], weights: FusionWeights, group: str) -> Fused:
    """R runs as one.

    runs: with predictions of dev where weights and thresholds are fitted on it.
    weights: 'dev' or 'equal'.
    group: what varies as a whole.
    Raises AudiosslError where items, targets or labels differ, where nothing has a target, and for recordings that
    were predicted window by window.
    """
    labels = common_labels(runs)
    test, dev = [run.test for run in runs], [run.dev if weights == "dev" else [] for run in runs]
    for split in (test, dev):
        check_same_items(split)
    if any("windows" in row for rows in test for row in rows):
        raise AudiosslError("The runs predicted whole recordings, whose windows may differ; fuse their evaluations.")
    shares, thresholds = _fitted(dev, labels)
    scores = np.einsum("r,rnc->nc", shares, _scores(test))
    heard = _votes(test, labels) if thresholds is None else scores >= thresholds
    rows = [
        {**{key: row[key] for key in _KEPT if key in row}, "scores": significant(each).tolist(), "calibrated": False}
        | {"predicted": sorted(np.array(labels)[there].tolist())}
        for row, each, there in zip(test[0], scores, heard, strict=True)
    ]
    known = [n for n, row in enumerate(rows) if row["target"] is not None]
    targets = _targets([rows[n] for n in known], labels)
    if not targets.any():
        raise AudiosslError("None of the predictions has a target with a label; fuse another split.")
    clusters = clusters_of_rows([rows[n] for n in known], group)
    ours = multilabel_estimates(targets, scores[known], clusters)["map"]
    gaps = [
        difference_of(ours, multilabel_estimates(targets, alone[known], clusters)["map"], clusters)
        for alone in _scores(test)
    ]
    metrics = multilabel_metrics(targets, scores[known], clusters)
    told: dict[str, Any] = {"weights": [round(float(share), 6) for share in shares], "labels": labels}
    told["thresholds"] = None if thresholds is None else [round(float(each), 6) for each in thresholds]
    return Fused(rows, {name: each for name, each in metrics.items() if each.value == each.value}, "map", gaps, told)


def _fitted(dev: Sequence[Sequence[Prediction]], labels: Sequence[str]) -> tuple[Floats, Floats | None]:
    """Weights (R,), and thresholds (C,), None without dev."""
    places = [n for n, row in enumerate(dev[0]) if row["target"] is not None]
    if not places:
        return np.full(len(dev), 1 / len(dev)), None
    known = [[rows[n] for n in places] for rows in dev]
    present, scores = _targets(known[0], labels), _scores(known)
    right = np.where(present, scores, 1 - scores).reshape(len(dev), -1)  # of each class of each window
    shares = mixture_weights(np.maximum(right, LEAST))
    fused = np.einsum("r,rnc->nc", shares, scores)
    counts = present.sum(axis=0)
    enough = np.minimum(counts, len(present) - counts) >= FEWEST_WINDOWS
    pairs = zip(fused.T, present.T, enough, strict=True)
    return shares, np.array([best_threshold(each, there) if many else UNKNOWN for each, there, many in pairs])


def _scores(runs: Sequence[Sequence[Prediction]]) -> Floats:
    """(R, N, C)."""
    return np.array([[row["scores"] for row in rows] for rows in runs], dtype=np.float64)


def _votes(runs: Sequence[Sequence[Prediction]], labels: Sequence[str]) -> Flags:
    """(N, C) what half of the runs hear, or more."""
    heard = np.array([[[label in row["predicted"] for label in labels] for row in rows] for rows in runs])
    most: Flags = 2 * heard.sum(axis=0) >= len(runs)
    return most


def _targets(rows: Sequence[Prediction], labels: Sequence[str]) -> Flags:
    """(N, C)."""
    return np.array([[label in row["target"] for label in labels] for row in rows]).reshape(len(rows), len(labels))
