"""The predictions of a task, or of several on batches that are read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from audiossl.core.types import Batch
from audiossl.training.task import Pass, Prediction, Task


@torch.no_grad()
def predict_all(task: Task, batches: Pass, device: torch.device | str = "cpu") -> list[Prediction]:
    """The predictions of a split (of every item, in the order of the batches), in eval mode."""

    def here() -> Iterator[Batch]:
        return (batch.to(device) for batch in batches())

    was_training = task.training
    task.eval()
    try:
        return task.predict_pass(here)
    finally:
        task.train(was_training)


@torch.no_grad()
def predict_together(tasks: Sequence[Task], batches: Iterable[Batch]) -> list[list[Prediction]]:
    """The predictions of each task, in eval mode, on batches that are read once."""
    rows: list[list[Prediction]] = [[] for _ in tasks]
    were_training = [task.training for task in tasks]
    for task in tasks:
        task.eval()
    try:
        for batch in batches:
            for task, found in zip(tasks, rows, strict=True):
                found += task.predict(batch)
    finally:
        for task, was_training in zip(tasks, were_training, strict=True):
            task.train(was_training)
    return rows
