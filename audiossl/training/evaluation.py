"""An evaluation on dev while training: predictions, metrics without intervals, and what the task draws."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from accelerate.utils import gather_object

from audiossl.core.types import Batch, BatchSource, Metric
from audiossl.metrics.jackknife import no_intervals
from audiossl.training.context import TrainingContext
from audiossl.training.prediction import predict_all
from audiossl.training.task import Prediction, Task


class Evaluator:
    """Scores the task of a trainer on dev, by itself."""

    def predict(self, context: TrainingContext, batches: BatchSource) -> list[Prediction]:
        """One row for each item of all processes, in eval mode."""

        def own() -> Iterable[Batch]:
            return batches(None, context.rank, context.world)

        with context.autocast():
            rows: list[Prediction] = gather_object(predict_all(context.task, own, context.device))
        return rows

    def score(self, context: TrainingContext, batches: BatchSource, step: int) -> dict[str, Metric]:
        """The metrics of dev after `step` updates, without intervals."""
        predictions = context.task.assemble(self.predict(context, batches), "dev")
        with no_intervals():
            return context.task.score(predictions)

    def snapshot(self, context: TrainingContext, batches: BatchSource, folder: Path) -> dict[str, Path]:
        """What the task draws of the first batch of dev, in the main process: title -> file in `folder`."""
        task = context.task
        draws = type(task).snapshot is not Task.snapshot
        if not draws or not context.accelerator.is_main_process:
            return {}
        first = next(iter(batches(None, 0, 1)))
        task.eval()
        return task.snapshot(first.to(context.device), folder)
