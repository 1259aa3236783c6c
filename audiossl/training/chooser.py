"""What stands in for the loop where nothing trains: one evaluation on dev, in which the task chooses."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from audiossl.core.errors import TrainingError
from audiossl.core.types import BatchSource
from audiossl.metrics.jackknife import no_intervals
from audiossl.training.checkpoints import BestWeights, Checkpoints, TrainingState
from audiossl.training.config import TrainerConfig
from audiossl.training.context import accelerator_of
from audiossl.training.log import RunLog
from audiossl.training.prediction import predict_all
from audiossl.training.task import Task
from audiossl.training.trackers import Trackers


class Chooser:
    """Lets a task that does not train choose on dev, and keeps what it chose as the best checkpoint, of step 0.

    task: with `trains` False.
    config: settings of the trainer, of which device, precision and trackers count.
    folder: of the run.
    dev_batches: (start, rank, world_size) -> one pass over the rows of dev.
    trackers: what gets the figures of the log. None for nothing.
    """

    def __init__(
        self,
        task: Task,
        config: TrainerConfig,
        folder: Path,
        dev_batches: BatchSource,
        *,
        trackers: Trackers | None = None,
    ) -> None:
        self.task, self.config, self.folder = task, config, folder
        self._dev_batches, self._trackers = dev_batches, trackers

    def fit(self, resume: bool = False) -> TrainingState:
        """Choose, in the main process. A run that is gone on with chooses again.

        Raises TrainingError where the figure by which is chosen is no number.
        """
        state, accelerator = TrainingState(), accelerator_of(self.config)
        if not accelerator.is_main_process:
            return state
        task, name = self.task.to(accelerator.device), self.task.monitor.name
        bf16 = self.config.precision == "bf16"
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=bf16), no_intervals():
            rows = predict_all(task, lambda: self._dev_batches(None, 0, 1), accelerator.device)
            figures = {key: metric.value for key, metric in task.score(task.assemble(rows, "dev")).items()}
        if math.isnan(figures[name]):
            raise TrainingError(f"{name} on dev is no number, so nothing can be chosen by it; check the dev data.")
        # Before step 0 there is nothing, so that a line of an earlier choice goes.
        with RunLog(self.folder, start_step=-1, trackers=self._trackers) as log:
            log.write(0, "dev", figures)
        state.best = Checkpoints(self.folder).keep(task, BestWeights(figures[name], 0), [], gained=True)
        return state
