"""What is said of the probabilities of stored predictions: a table, and the facts of metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiossl.core.types import Cell, Table
from audiossl.metrics.probabilities import NUM_BINS, expected_calibration_error, log_probabilities
from audiossl.training.task import Prediction

_LEAST = 5e-7  # stored probabilities have six decimals


def word_of(prediction: Prediction) -> str:
    """What a reader may call the figure of a prediction."""
    return "probability" if prediction.get("calibrated") else "score"


def calibration_facts(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any] | None:
    """Whether probabilities are calibrated, by which temperatures, and ECE and NLL as trained and as written.

    predictions: rows with a target. Those of several folds have several temperatures.
    labels: the C classes.
    None for rows without logits, which earlier versions wrote.
    """
    index = {label: place for place, label in enumerate(labels)}
    rows = [row for row in predictions if row.get("logits") and row["target"] in index]
    if not rows:
        return None
    targets = np.array([index[row["target"]] for row in rows])
    said = np.array([index[row["predicted"]] for row in rows])
    trained = np.exp(log_probabilities([row["logits"] for row in rows]))
    written = np.array([row["scores"] for row in rows], dtype=np.float64)
    return {
        "calibrated": all(row["calibrated"] for row in rows),
        "temperatures": sorted({row["temperature"] for row in rows} - {None}),
        "bins": min(NUM_BINS, len(rows)),
        "as_trained": _worth(trained, said, targets),
        "as_written": _worth(written, said, targets),
    }


def calibration_table(facts: dict[str, Any] | None) -> list[Table]:
    """What `calibration_facts` found, for the report."""
    if facts is None:
        return []
    temperatures = ", ".join(f"{value:.3g}" for value in facts["temperatures"])
    rows: list[list[Cell]] = [["as trained", *facts["as_trained"].values()]]
    if facts["calibrated"]:
        rows.append([f"calibrated, temperature {temperatures}", *facts["as_written"].values()])
        note = "The temperature was fitted on dev, where it made held-out items likelier."
    else:
        note = (
            "Scores are those of the model and no probabilities: dev has too few items for a temperature, or none made "
            "held-out ones likelier."
        )
    bins = f" ECE is over {facts['bins']} bins of equal numbers of items."
    return [Table("Probabilities" if facts["calibrated"] else "Scores", ["", "ECE", "NLL"], rows, note + bins)]


def _worth(probabilities: np.ndarray, said: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """ECE and mean NLL of probabilities (N, C)."""
    items = np.arange(len(targets))
    nll = -np.log(np.maximum(probabilities[items, targets], _LEAST)).mean()
    ece = expected_calibration_error(probabilities[items, said], said == targets)
    return {"ece": round(ece, 4), "nll": round(float(nll), 4)}
