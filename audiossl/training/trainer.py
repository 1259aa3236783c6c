"""One training loop for downstream tasks and pre-training; it knows only `Task`.

Everything random in a batch is drawn from (seed, the batch's running number). A run that was stopped therefore goes on
exactly as if it had not been, without random states in its checkpoints, and any number of processes gives the same
losses: a step consumes `batches_per_step` batches over all processes, and its gradient is that of the mean over all
their items.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import Tensor

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.tensors import read_tensors, write_tensors
from audiossl.core.terminal import on_signals, progress_bar
from audiossl.core.types import Batch, BatchSource, Metric, Position
from audiossl.metrics.bootstrap import no_intervals
from audiossl.training.config import TrainerConfig
from audiossl.training.log import RunLog
from audiossl.training.optimizer import (
    build_optimizer,
    flatten_optimizer,
    schedule_factor,
    set_learning_rates,
    unflatten_optimizer,
)
from audiossl.training.prediction import predict_all
from audiossl.training.task import Prediction, Task


class Interrupted(Exception):  # noqa: N818  no error: the user asked for it
    """Training was stopped by a signal after writing a checkpoint from which it can go on."""


class Kept(NamedTuple):
    """An evaluation among the best."""

    value: float
    step: int


@dataclass
class Progressed:
    """What a run must remember besides weights and optimizer state."""

    step: int = 0
    position: Position | None = None
    best: list[Kept] = field(default_factory=list)  # best first
    evaluations_without_gain: int = 0
    evaluated: int = 0  # the last step that was scored on dev

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "best": [list(kept) for kept in self.best]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Progressed:
        position = Position(*stored["position"]) if stored["position"] else None
        best = [Kept(*kept) for kept in stored["best"]]
        evaluated = stored.get("evaluated", stored["step"])
        return cls(stored["step"], position, best, stored["evaluations_without_gain"], evaluated)


class Stepped(NamedTuple):
    """What an update gave: numbers for the log, the position of its last batch, whether a process was asked to stop."""

    figures: dict[str, Any]
    position: Position | None
    stopped: bool


Step = Generator[None, None, Stepped]  # of one turn for each batch


class Trainer:
    """Trains `task` in the run folder `folder`; `fit` is the loop.

    train_batches(start, rank, world_size) gives an endless stream; dev_batches likewise gives one pass (or is None).
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
    ) -> None:
        # Buffers are functions of weights or of the input (a table of positions grows with it), never to be averaged.
        parallel = DistributedDataParallelKwargs(
            broadcast_buffers=False, find_unused_parameters=task.may_skip_parameters
        )
        self.accelerator = Accelerator(cpu=config.device == "cpu", kwargs_handlers=[parallel])
        self.world = self.accelerator.num_processes
        if config.batches_per_step % self.world:
            raise ConfigError(
                f"trainer.batches_per_step={config.batches_per_step} cannot be shared by {self.world} processes; "
                f"make it a multiple of {self.world}."
            )
        self.config, self.folder, self.seed = config, folder, seed
        self.task, self.train_batches, self.dev_batches = task, train_batches, dev_batches
        self.state = Progressed()
        self.optimizer = build_optimizer(task, config)
        self.number = 0  # of the batch within the step that is being made
        self.together: Callable[[], Step] | None = None  # makes the step where several heads are computed as one
        self.dev_rows: list[Prediction] | None = None  # predictions of dev for this step that were made together
        self._prepared: tuple[Any, Any] | None = None
        self.stopping = False

    @property
    def last_checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "last.safetensors"

    def fit(self, resume: bool = False) -> Progressed:
        """Train to `config.steps`. Raises Interrupted after a signal, TrainingError if the loss stays non-finite."""
        with on_signals(self.stop), progress_bar(self.accelerator.is_main_process) as progress:
            bar = progress.add_task("training", total=self.config.steps, completed=self.state.step, note="")
            for loss in self.steps(resume):
                if loss is not None:
                    progress.update(bar, completed=self.state.step, note=f"loss {loss:.4f}")
        return self.state

    def steps(self, resume: bool = False) -> Iterator[float | None]:
        """The loop of `fit` in turns of one batch, so that several trainers can share it.

        Gives the loss at the end of a step, and None before a step and between its batches.
        The evaluation and the checkpoint that are due after a step come in the next turn, which has no batch.
        """
        if resume:
            self.restore()
        model, optimizer = self.prepare()
        batches = iter(self.train_batches(self.state.position, self.accelerator.process_index, self.world))
        bad_steps = 0
        with RunLog(self.folder, start_step=self.state.step, active=self.accelerator.is_main_process) as log:
            finished = self._evaluate_if_due(log)  # a run that was stopped at an evaluation owes it
            while self.state.step < self.config.steps and not finished:
                yield None
                self.task.begin_step(self.state.step)
                update = self.together() if self.together else self._step(model, optimizer, batches)
                figures, self.state.position, interrupted = yield from update
                self.state.step += 1
                bad_steps = 0 if figures["finite"] else bad_steps + 1
                self._give_up_after(bad_steps)
                step = self.state.step
                if step % self.config.log_every == 0 or step == self.config.steps or not figures["finite"]:
                    log.write(step, "train", figures)
                if interrupted and step < self.config.steps:
                    self._save(optimizer)
                    raise Interrupted(f"Stopped after step {step}; {self.folder} holds all that is needed to go on.")
                yield figures["loss"]
                finished = self._evaluate_if_due(log)
                if self._due(self.config.save_every, step) or finished:
                    self._save(optimizer)
        if self.dev_batches is not None and not self.state.best:
            raise TrainingError(
                f"{self.task.monitor.name} on dev was never a number, so no checkpoint is the best; see "
                f"{self.folder / 'log.jsonl'}, and lower trainer.lr={self.config.lr:g} or check the dev data."
            )
        self._average_best()

    def stop(self) -> None:
        """Let the step in progress be the last, as a signal does: it is saved, and Interrupted raised."""
        self.stopping = True

    def prepare(self) -> tuple[Any, Any]:
        """Model and optimizer as accelerate wraps them, on the device."""
        if self._prepared is None:
            model, optimizer = self.accelerator.prepare(self.task, self.optimizer)
            plain = type(optimizer) is AcceleratedOptimizer and optimizer.scaler is None
            if plain and self.accelerator.device.type in ("cpu", "cuda"):
                optimizer = self.optimizer  # the wrapper would only look for other packages in every step
            self._prepared = model, optimizer
        return self._prepared

    def _step(self, model: Any, optimizer: Any, batches: Iterator[Batch]) -> Step:
        """One update."""
        if not (model.training and self.task.training):  # a walk through all modules of the encoder
            model.train()
        share = self.config.batches_per_step // self.world
        sums: dict[str, Tensor] = {}
        weight_sum = torch.zeros((), device=self.accelerator.device)
        for self.number in range(share):
            if self.number:
                yield
            batch = next(batches).to(self.accelerator.device)
            self._seed((self.state.step * share + self.number) * self.world + self.accelerator.process_index)
            with nullcontext() if self.number == share - 1 else self.accelerator.no_sync(model):
                with self.autocast():
                    loss, weight, logs = model(batch)
                self.accelerator.backward(loss * weight)
            weight_sum += weight.detach()
            for name, value in {"loss": loss, **logs}.items():
                sums[name] = sums.get(name, weight_sum.new_zeros(())) + value.detach().float() * weight
        self.number = 0
        stop = torch.tensor(float(self.stopping), device=weight_sum.device)
        totals = self.accelerator.reduce(torch.stack([*sums.values(), weight_sum, stop]), "sum")
        weight_sum = totals[-2].clamp(min=1e-12)
        *values, _, stopped = torch.cat([totals[:-1] / weight_sum, totals[-1:]]).tolist()
        means = dict(zip(sums, values, strict=True))
        figures = self._update(optimizer, self.world / weight_sum, means["loss"])
        return Stepped({**means, **figures}, batch.position, bool(stopped))

    def _update(self, optimizer: Any, scale: Tensor, loss: float) -> dict[str, Any]:
        """Scale the summed gradients to those of the mean, clip, and step unless something is not finite.

        Returns learning rates, the norm before clipping and whether loss and gradient are finite. A parameter without
        a gradient stays as it is, and so does its optimizer state.
        """
        # Data-parallel wrappers average over processes; each process summed over its items.
        rates = set_learning_rates(optimizer, schedule_factor(self.config, self.state.step))
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            parameter.grad.mul_(scale)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.config.clip or math.inf))
        finite = math.isfinite(norm) and math.isfinite(loss)
        if finite:
            optimizer.step()
        optimizer.zero_grad()
        return {**rates, "grad_norm": norm, "finite": finite}

    @property
    def owes_evaluation(self) -> bool:
        """Whether dev is to be scored before the next step."""
        step = self.state.step
        return self.dev_batches is not None and step > self.state.evaluated and self._due(self.config.eval_every, step)

    def _evaluate_if_due(self, log: RunLog) -> bool:
        """Evaluate where this step is due and not done; True when patience is at its end."""
        if self.dev_batches is not None and self.owes_evaluation:
            self._evaluate(log, self.dev_batches)
        return 0 < self.config.patience <= self.state.evaluations_without_gain

    def _evaluate(self, log: RunLog, dev_batches: BatchSource) -> None:
        """Score dev, and keep the weights if they are among the best."""
        task, step = self.task, self.state.step
        rows, self.dev_rows = self.dev_rows, None
        if rows is None:
            batches = dev_batches(None, self.accelerator.process_index, self.world)
            with self.autocast():
                rows = gather_object(predict_all(task, batches, self.accelerator.device))
        predictions = task.assemble(rows, "dev")
        with no_intervals():
            metrics = task.score(predictions)
        value = _monitored(metrics, task)
        log.write(step, "dev", {name: metric.value for name, metric in metrics.items()})
        self._snapshot(log)
        gained = task.monitor.better(value, self.state.best[0].value if self.state.best else None)
        self.state.evaluations_without_gain = 0 if gained else self.state.evaluations_without_gain + 1
        self.state.evaluated = step
        if not math.isnan(value):
            self._keep(Kept(value, step), gained)

    def _snapshot(self, log: RunLog) -> None:
        draws = type(self.task).snapshot is not Task.snapshot
        if not draws or not self.accelerator.is_main_process or self.dev_batches is None:
            return
        first = next(iter(self.dev_batches(None, 0, 1)))
        self.task.eval()
        for title, path in self.task.snapshot(first.to(self.accelerator.device), self.folder / "figures").items():
            log.picture(self.state.step, title, path)

    def _keep(self, kept: Kept, gained: bool) -> None:
        """Write the weights of an evaluation that is among the best, and forget those that no longer are."""
        sign = -1 if self.task.monitor.mode == "max" else 1
        ranked = sorted([*self.state.best, kept], key=lambda k: (not math.isfinite(k.value), sign * k.value, k.step))
        self.state.best = ranked[: max(self.config.average_best, 1)]
        if not self.accelerator.is_main_process:
            return
        folder = self.folder / "checkpoints"
        if gained:
            write_tensors(folder / "best.safetensors", self.task.trainable_state(), kept._asdict())
        if self.config.average_best > 1:
            if kept in self.state.best:
                write_tensors(folder / f"kept-{kept.step}.safetensors", self.task.trainable_state(), kept._asdict())
            for lost in set(ranked) - set(self.state.best):
                (folder / f"kept-{lost.step}.safetensors").unlink(missing_ok=True)

    def _average_best(self) -> None:
        """The mean of the kept weights, as `averaged.safetensors`."""
        if self.config.average_best < 2 or not self.accelerator.is_main_process or not self.state.best:
            return
        folder = self.folder / "checkpoints"
        states = [read_tensors(folder / f"kept-{kept.step}.safetensors")[0] for kept in self.state.best]
        mean = {
            name: (sum(s[name].double() for s in states) / len(states)).to(value.dtype)  # type: ignore[union-attr]
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
        write_tensors(folder / "averaged.safetensors", mean, {"steps": [kept.step for kept in self.state.best]})

    def _save(self, optimizer: Any) -> None:
        """Weights, optimizer state and progress in one file, so that a kill at any moment leaves a whole one."""
        # The stream is shared: the step's last batch may have been another process's.
        positions = [p for p in gather_object([self.state.position]) if p is not None]
        self.state.position = Position(*max(map(tuple, positions))) if positions else None
        if self.accelerator.is_main_process:
            tensors = {f"model/{name}": value for name, value in self.task.trainable_state().items()}
            tensors |= flatten_optimizer(optimizer.state_dict())
            write_tensors(self.last_checkpoint, tensors, self.state.as_json())

    def restore(self) -> None:
        """Weights, optimizer state and progress of the last checkpoint. Raises TrainingError where there is none."""
        if not self.last_checkpoint.is_file():
            raise TrainingError(f"{self.folder} has no checkpoint to resume from; start it again with --overwrite.")
        tensors, described = read_tensors(self.last_checkpoint)
        model = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
        self.task.load_trainable_state(model)
        self.optimizer.load_state_dict(unflatten_optimizer(tensors, self.optimizer.state_dict()))
        self.state = Progressed.from_json(described)

    def _due(self, every: int, step: int) -> bool:
        return step == self.config.steps or (every > 0 and step % every == 0)

    def _give_up_after(self, bad_steps: int) -> None:
        if bad_steps >= self.config.max_nonfinite:
            raise TrainingError(
                f"The loss or its gradient was not finite in {bad_steps} steps on end, up to step {self.state.step}; "
                f"lower trainer.lr={self.config.lr:g}, or check the data with `audiossl data validate`."
            )

    def _seed(self, number: int) -> None:
        value = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]
        if self.accelerator.device.type == "cpu":  # torch.manual_seed keeps a stack trace for each device to come
            torch.default_generator.manual_seed(int(value) >> 1)
        else:
            torch.manual_seed(int(value) >> 1)
        np.random.seed(int(value) & 0xFFFFFFFF)  # noqa: NPY002  for libraries that draw from the global state
        random.seed(int(value))

    def autocast(self) -> Any:
        """The precision in which the task runs, as a context."""
        enabled = self.config.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=enabled)


def _monitored(metrics: dict[str, Metric], task: Task) -> float:
    if task.monitor.name not in metrics:
        raise TrainingError(f"{type(task).__name__} monitors {task.monitor.name!r} but scores {sorted(metrics)}.")
    return metrics[task.monitor.name].value
