"""One training loop for downstream tasks and pre-training. It knows only `Task`.

Everything random in a batch is drawn from (seed, the batch's running number). A run that was stopped therefore goes on
exactly as if it had not been, without random states in its checkpoints, and any number of processes gives the same
losses: a step consumes `batches_per_step` batches over all processes, and its gradient is that of the mean over all
their items.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object

from audiossl.core.errors import TrainingError
from audiossl.core.terminal import Interrupted, on_signals, progress_bar
from audiossl.core.types import BatchSource, Metric, Position
from audiossl.training.checkpoints import BestWeights, Checkpoints, TrainingState
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.evaluation import Evaluator
from audiossl.training.log import LOG_NAME, RunLog
from audiossl.training.step import Stepper
from audiossl.training.task import Task
from audiossl.training.trackers import Trackers


class Trainer:
    """Trains a task. `fit` is the loop.

    task: what has a loss and a score.
    config: settings of the loop and of the optimizer.
    folder: of the run.
    train_batches: (start, rank, world_size) -> an endless stream.
    dev_batches: likewise one pass over the held-out rows, or None.
    seed: what is random in a batch follows from it.
    stepper, evaluator: make the updates and score dev, where trainers share that. By default each does it by itself.
    trackers: what gets the figures of the log. None for nothing.
    """

    def __init__(
        self,
        task: Task,
        config: TrainerConfig,
        folder: Path,
        train_batches: BatchSource,
        dev_batches: BatchSource | None = None,
        *,
        seed: int = 0,
        stepper: Stepper | None = None,
        evaluator: Evaluator | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.context = TrainingContext(task, config, seed)
        self.stepper, self.evaluator = stepper or Stepper(), evaluator or Evaluator()
        self.state = TrainingState()
        main = self.accelerator.is_main_process
        self.checkpoints = Checkpoints(folder, num_averaged=config.average_best, active=main)
        self._train_batches, self._dev_batches, self._trackers = train_batches, dev_batches, trackers

    @property
    def accelerator(self) -> Accelerator:
        """The devices and processes that are used."""
        return self.context.accelerator

    def fit(self, resume: bool = False) -> TrainingState:
        """Train to `config.steps`. Raises Interrupted after a signal, TrainingError if the loss stays non-finite."""
        with on_signals(self.stop), progress_bar(self.accelerator.is_main_process) as progress:
            bar = progress.add_task("training", total=self.config.steps, completed=self.state.step, note="")
            for loss in self.steps(resume):
                if loss is not None:
                    progress.update(bar, completed=self.state.step, note=f"loss {loss:.4f}")
        return self.state

    def steps(self, resume: bool = False) -> Generator[float | None, None, None]:
        """The loop of `fit` in turns of one batch, so that several trainers can share it.

        Gives the loss at the end of a step, and None before a step and between its batches.
        The evaluation and the checkpoint that are due after a step come in the next turn, which has no batch.
        """
        self.checkpoints.remove_parts()
        if resume:
            self.restore()
        self.context.prepare()
        batches = iter(self._train_batches(self.state.position, self.context.rank, self.context.world))
        bad_steps = 0
        main = self.accelerator.is_main_process
        with RunLog(self.folder, start_step=self.state.step, active=main, trackers=self._trackers) as log:
            finished = self._evaluate_if_due(log)  # a run that was stopped at an evaluation owes it
            while self.state.step < self.config.steps and not finished:
                yield None
                step = self.state.step  # from 0, and counted from 1 once it is made
                self.task.begin_step(step)
                figures, position, interrupted = yield from self.stepper.step(self.context, step, batches)
                self.task.after_step(step)
                self.task.watch(step, figures)
                step += 1
                self.state.step, self.state.position = step, position
                bad_steps = 0 if figures["finite"] else bad_steps + 1
                self._give_up_after(bad_steps)
                if step % self.config.log_every == 0 or step == self.config.steps or not figures["finite"]:
                    log.write(step, "train", figures)
                if interrupted and step < self.config.steps:
                    self.save()
                    raise Interrupted(f"Stopped after step {step}; {self.folder} holds all that is needed to go on.")
                yield figures["loss"]
                finished = self._evaluate_if_due(log)
                if self._due(self.config.save_every, step) or finished:
                    self.save()
        self._finish()

    def stop(self) -> None:
        """Let the step in progress be the last, as a signal does: it is saved, and Interrupted raised."""
        self.context.stopping = True

    def restore(self) -> None:
        """Weights, optimizer state and progress of the last checkpoint. Raises TrainingError where there is none."""
        self.state = self.checkpoints.restore(self.task, self.context.optimizer)

    def save(self) -> None:
        """Write the last checkpoint, between two steps."""
        # The stream is shared: the last batch of the step may have been another process's.
        positions = [position for position in gather_object([self.state.position]) if position is not None]
        self.state.position = Position(*max(map(tuple, positions))) if positions else None
        self.checkpoints.save(self.task, self.context.prepare()[1], self.state)

    @property
    def owes_evaluation(self) -> bool:
        """Whether dev is to be scored before the next step."""
        step = self.state.step
        return self._dev_batches is not None and step > self.state.evaluated and self._due(self.config.eval_every, step)

    def _evaluate_if_due(self, log: RunLog) -> bool:
        """Evaluate where this step is due and not done. Returns True when patience is at its end."""
        if self._dev_batches is not None and self.owes_evaluation:
            self._evaluate(log, self._dev_batches)
        return 0 < self.config.patience <= self.state.evaluations_without_gain

    def _evaluate(self, log: RunLog, dev_batches: BatchSource) -> None:
        """Score dev, and keep the weights if they are among the best."""
        task, state = self.task, self.state
        with self.context.whole():
            metrics = self.evaluator.score(self.context, dev_batches, state.step)
            value = _monitored(metrics, task)
            log.write(state.step, "dev", {name: metric.value for name, metric in metrics.items()})
            pictures = self.evaluator.snapshot(self.context, dev_batches, self.folder / "figures")
        for title, path in pictures.items():
            log.picture(state.step, title, path)
        gained = task.monitor.better(value, state.best[0].value if state.best else None)
        state.evaluations_without_gain = 0 if gained else state.evaluations_without_gain + 1
        state.evaluated = state.step
        if not math.isnan(value):
            state.best = self.checkpoints.keep(task, BestWeights(value, state.step), state.best, gained=gained)

    def _finish(self) -> None:
        if self._dev_batches is not None and not self.state.best:
            raise TrainingError(
                f"{self.task.monitor.name} on dev was never a number, so no checkpoint is the best; see "
                f"{self.folder / LOG_NAME}, and lower trainer.lr={self.config.lr:g} or check the dev data."
            )
        self.checkpoints.average(self.state.best)

    def _due(self, every: int, step: int) -> bool:
        return step == self.config.steps or (every > 0 and step % every == 0)

    def _give_up_after(self, bad_steps: int) -> None:
        if bad_steps >= self.config.max_nonfinite:
            raise TrainingError(
                f"The loss or its gradient was not finite in {bad_steps} steps on end, up to step {self.state.step}; "
                f"lower trainer.lr={self.config.lr:g}, or check the data with `audiossl data validate`."
            )


def _monitored(metrics: dict[str, Metric], task: Task) -> float:
    if task.monitor.name not in metrics:
        raise TrainingError(f"{type(task).__name__} monitors {task.monitor.name!r} but scores {sorted(metrics)}.")
    return metrics[task.monitor.name].value
