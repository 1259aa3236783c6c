"""From a trained task to predictions, and from predictions to metrics. Scoring needs no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from audiossl.checkpoint import atomic_write
from audiossl.errors import AudiosslError
from audiossl.task import Prediction, Task
from audiossl.types import Batch, Metric


@torch.no_grad()
def predict_all(task: Task, batches: Iterable[Batch], device: torch.device | str = "cpu") -> list[Prediction]:
    """Predictions of every item, in the order of the batches, in eval mode."""
    was_training = task.training
    task.eval()
    try:
        return [prediction for batch in batches for prediction in task.predict(batch.to(device))]
    finally:
        task.train(was_training)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, UTF-8, written atomically."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, indented, UTF-8, written atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """What `write_jsonl` wrote. Raises AudiosslError for a missing file or a line that is not JSON."""
    if not path.is_file():
        raise AudiosslError(f"There is no {path}; run `audiossl evaluate` first.")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise AudiosslError(f"{path}, line {number} is not JSON ({error.msg}); evaluate again.") from error
    return rows


def metrics_as_json(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Metrics by name as {"value", "low", "high"}."""
    return {name: metric.as_json() for name, metric in metrics.items()}
