"""What stored predictions of windows say of the classes: how well they are ranked, decided and calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from audiossl.core.types import Cell, Table
from audiossl.metrics.clusters import Floats, Ints
from audiossl.metrics.multilabel import per_class
from audiossl.metrics.probabilities import NUM_BINS, expected_calibration_error
from audiossl.training.task import Prediction

_LEAST = 5e-7  # of a probability in a logarithm


def calibration_facts(rows: Sequence[Prediction], targets: Ints) -> dict[str, Any] | None:
    """Whether the scores of all classes are calibrated, and ECE and NLL as trained and as written.

    rows: windows with a target.
    targets: (N, C) of 0 and 1. Each pair of a window and a class counts as one.
    None for rows without logits, which earlier versions wrote.
    """
    if not rows or not all(row.get("logits") for row in rows):
        return None
    trained = expit(np.array([row["logits"] for row in rows], dtype=np.float64))
    written = np.array([row["scores"] for row in rows], dtype=np.float64)
    return {
        "calibrated": all(row["calibrated"] for row in rows),
        "bins": min(NUM_BINS, targets.size),
        "as_trained": _worth(trained, targets),
        "as_written": _worth(written, targets),
    }


def class_table(rows: Sequence[Prediction], targets: Ints, scores: Floats, facts: dict[str, Any]) -> Table:
    """The table of the classes.

    rows: windows with a target.
    targets, scores: (N, C) of them.
    facts: of the evaluation.
    """
    lines: list[list[Cell]] = []
    for label, found, present in zip(facts["labels"], per_class(targets, scores), targets.T.astype(bool), strict=True):
        heard = np.array([label in row["predicted"] for row in rows])
        hits = int((heard & present).sum())
        ranked = [None if value is None else round(value, 4) for value in found[:2]]
        decided = [round(hits / num, 4) if num else None for num in (int(heard.sum()), found.num_positives)]
        line = [label, found.num_positives, found.num_positives / len(rows), *ranked, *decided]
        decision = (facts["decisions"] or {}).get(label)
        if decision is not None:
            line += [float(f"{decision['threshold']:.3g}"), "yes" if decision["calibrated"] > 0.5 else "no"]
        lines.append(line)
    header = ["label", "windows with it", "share", "average precision", "AUROC", "precision", "recall"]
    header += ["threshold", "a probability"] if facts["decisions"] is not None else []
    return Table("Classes", header, lines, _note(facts))


def _note(facts: dict[str, Any]) -> str:
    parts = ["The average precision of guessing is the share."]
    if facts["labels_left_out"]:
        parts.append(f"No window has {', '.join(facts['labels_left_out'])}: left out of the means.")
    if facts["calibration"] is not None:
        trained, written = facts["calibration"]["as_trained"], facts["calibration"]["as_written"]
        parts.append(
            f"Scores as trained: ECE {trained['ece']:.3f}, NLL {trained['nll']:.3f}; as written, without class weights "
            f"and calibrated on dev where that helped: ECE {written['ece']:.3f}, NLL {written['nll']:.3f}."
        )
    return " ".join(parts)


def _worth(scores: Floats, targets: Ints) -> dict[str, float]:
    """ECE and mean NLL of scores (N, C), window by window and class by class."""
    right = np.where(targets == 1, scores, 1 - scores)
    ece = expected_calibration_error(scores.ravel(), targets.ravel())
    return {"ece": round(ece, 4), "nll": round(float(-np.log(np.maximum(right, _LEAST)).mean()), 4)}
