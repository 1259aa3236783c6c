"""Late fusion of runs with several targets: each target by itself, as runs with it alone are fused.

Of classes and levels, the scores are a weighted mean (`utterance_classification.fusing`), numbers are a mean or what
fitted weights make of them (`utterance_regression.fusing`). One run may count for one target, another for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.multi_task.classes import LabelHead
from audiossl.downstreams.multi_task.head import TargetHead
from audiossl.downstreams.multi_task.scoring import TargetScores
from audiossl.downstreams.utterance_classification.fusing import LEAST, mixture_weights
from audiossl.downstreams.utterance_regression.fusing import fused_column
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.jackknife import Difference, difference_of
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse, check_same_items
from audiossl.training.task import Prediction

_KEPT = ("id", "target", "speaker", "group", "duration_s", "fold", "audio")
Rows = Sequence[Sequence[Prediction]]  # of each run


def fuse_targets(runs: Sequence[RunToFuse], weights: FusionWeights, heads: Sequence[TargetHead[Any]]) -> Fused:
    """R runs as one.

    runs: with predictions of dev where weights are fitted on it.
    weights: 'dev' or 'equal'.
    heads: of the targets, for labels and figures. Their layers are not run.
    Raises AudiosslError where items, targets or labels differ, or nothing has a target.
    """
    test, dev = [run.test for run in runs], [run.dev if weights == "dev" else [] for run in runs]
    for split in (test, dev):
        check_same_items(split)
    if any(run.facts.get("targets") != runs[0].facts.get("targets") for run in runs):
        raise AudiosslError("The runs have other targets, or other labels of one; fuse runs of the same targets.")
    rows: list[Prediction] = [
        {**{key: row[key] for key in _KEPT if key in row}, "predicted": {}, "scores": {}} for row in test[0]
    ]
    facts: dict[str, Any] = {}
    for head in heads:
        if isinstance(head, LabelHead):
            facts[head.name] = _fuse_labels(head, dev, test, rows)
        else:
            values, facts[head.name] = fused_column(head.name, dev, test)
            for row, value in zip(rows, values.tolist(), strict=True):
                row["predicted"][head.name] = round(value, 6)
    scores = TargetScores(heads, rows)
    return Fused(rows, {**scores.by_target(), **scores.mean()}, "mean", _gaps(heads, rows, test), {"targets": facts})


def _fuse_labels(head: LabelHead, dev: Rows, test: Rows, rows: Sequence[Prediction]) -> dict[str, Any]:
    """Write the scores and the label of a target into rows. Returns what was fitted."""
    name = head.name
    known = [n for n, row in enumerate(dev[0]) if row["target"] and row["target"][name] in head.index]
    if known:
        numbers = [head.index[dev[0][n]["target"][name]] for n in known]
        found = np.array([[run[n]["scores"][name] for n in known] for run in dev], dtype=np.float64)  # (R, N, C)
        shares = mixture_weights(np.maximum(found[:, np.arange(len(known)), numbers], LEAST))
    else:
        shares = np.full(len(test), 1 / len(test))
    given = np.array([[row["scores"][name] for row in run] for run in test], dtype=np.float64)
    fused: Floats = np.einsum("r,rnc->nc", shares, given).round(6)
    for row, scores in zip(rows, fused.tolist(), strict=True):
        row["scores"][name], row["predicted"][name] = scores, head.target.labels[head.best(scores)]
    return {"kind": "weights", "weights": [round(float(share), 6) for share in shares], "fitted_on_rows": len(known)}


def _gaps(heads: Sequence[TargetHead[Any]], fused: Sequence[Prediction], runs: Rows) -> list[Difference]:
    """The mean over targets of the fusion minus that of each run, paired."""
    ours, clusters = TargetScores(heads, fused), clusters_of_rows([row for row in fused if row["target"] is not None])
    whole, _ = ours.mean_estimate()
    gaps = []
    for rows in runs:
        alone, _ = TargetScores(heads, rows).mean_estimate()
        gap = Difference(float("nan"), remark="no target has a figure")
        gaps.append(gap if whole is None or alone is None else difference_of(whole, alone, clusters))
    return gaps
