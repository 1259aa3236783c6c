"""The weights that a run keeps: the last (with all that resuming needs), the best, and the mean of the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from audiossl.core.errors import TrainingError
from audiossl.core.files import remove_parts
from audiossl.core.tensors import read_tensors, whole, write_tensors
from audiossl.core.types import Position
from audiossl.training.optimizer import flatten_optimizer, unflatten_optimizer
from audiossl.training.task import Task


class BestWeights(NamedTuple):
    """An evaluation among the best: its figure on dev and its step."""

    value: float
    step: int


@dataclass
class TrainingState:
    """What a run must remember besides weights and optimizer state.

    step: how many updates were made.
    position: of the last batch of the last of them.
    best: evaluations whose weights are kept, best first.
    evaluations_without_gain: since the best one.
    evaluated: the last step that was scored on dev.
    """

    step: int = 0
    position: Position | None = None
    best: list[BestWeights] = field(default_factory=list)
    evaluations_without_gain: int = 0
    evaluated: int = 0

    def as_json(self) -> dict[str, Any]:
        """The metadata of the last checkpoint."""
        return {**vars(self), "best": [list(kept) for kept in self.best]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> TrainingState:
        """Inverse of `as_json`."""
        position = Position(*stored["position"]) if stored["position"] else None
        best = [BestWeights(*kept) for kept in stored["best"]]
        evaluated = stored.get("evaluated", stored["step"])
        return cls(stored["step"], position, best, stored["evaluations_without_gain"], evaluated)


class Checkpoints:
    """RUN/checkpoints/ of the run folder `run`: last, best and averaged, and kept-<step> of those to average.

    num_averaged: how many of the best evaluations have their weights averaged in the end (0 or 1: none).
    active: whether this process writes.
    """

    def __init__(self, run: Path, *, num_averaged: int = 0, active: bool = True) -> None:
        self.run, self.num_averaged, self.active = run, num_averaged, active

    def path(self, name: str) -> Path:
        """The file of the checkpoint `last`, `best`, `averaged`, ..."""
        return self.run / "checkpoints" / f"{name}.safetensors"

    def keep(self, task: Task, new: BestWeights, best: Sequence[BestWeights], *, gained: bool) -> list[BestWeights]:
        """Keep the weights of the task where a new evaluation is among the best, and forget those that no longer are.

        All processes have to call it, as for `save`.

        task: as it was evaluated.
        new: the evaluation, whose value is not NaN.
        best: those that were the best before.
        gained: the new one is better than all before, so that its weights are `best`.
        Returns the best now, best first.
        """
        sign = -1 if task.monitor.mode == "max" else 1
        ranked = sorted([*best, new], key=lambda one: (not math.isfinite(one.value), sign * one.value, one.step))
        kept, lost = ranked[: max(self.num_averaged, 1)], ranked[max(self.num_averaged, 1) :]
        wanted = gained or (self.num_averaged > 1 and new in kept)
        state = self._gathered(task.trainable_state()) if wanted else {}
        if self.active and gained:
            write_tensors(self.path("best"), state, new._asdict())
        if self.active and self.num_averaged > 1:
            if new in kept:
                write_tensors(self._of_step(new), state, new._asdict())
            for one in lost:
                self._of_step(one).unlink(missing_ok=True)
        return kept

    def average(self, best: Sequence[BestWeights]) -> None:
        """Write the mean of the weights of these evaluations, where more than one was to be kept."""
        if self.num_averaged < 2 or not self.active or not best:
            return
        states = [read_tensors(self._of_step(one))[0] for one in best]
        mean = {name: _mean([state[name] for state in states]) for name in states[0]}
        write_tensors(self.path("averaged"), mean, {"steps": [one.step for one in best]})

    def remove_parts(self) -> None:
        """Remove what a writer that was killed left half written. Nobody else may be training in this run."""
        if self.active:
            remove_parts(self.run / "checkpoints")

    def save(self, task: Task, optimizer: Any, state: TrainingState) -> None:
        """Weights, optimizer state and progress in one file, so that a kill at any moment leaves a whole one.

        All processes have to call it, as those that share parameters gather them for the one that writes.
        """
        tensors = {f"model/{name}": value for name, value in task.trainable_state().items()}
        tensors |= flatten_optimizer(optimizer.state_dict())
        tensors = self._gathered(tensors)
        if self.active:
            write_tensors(self.path("last"), tensors, state.as_json())

    def restore(self, task: Task, optimizer: Optimizer) -> TrainingState:
        """Read the last checkpoint into a task and its optimizer. Raises TrainingError where there is none."""
        if not self.path("last").is_file():
            raise TrainingError(f"{self.run} has no checkpoint to resume from; start it again without --resume.")
        tensors, described = read_tensors(self.path("last"))
        model = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
        task.load_trainable_state(model)
        optimizer.load_state_dict(unflatten_optimizer(tensors, optimizer.state_dict()))
        return TrainingState.from_json(described)

    def _gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Whole tensors, {} in a process that does not write. What was in parts is gathered one by one, on the CPU."""
        found = {}
        for name, value in tensors.items():
            full = whole(value)
            if self.active:
                found[name] = value if full is value else full.cpu()
        return found

    def _of_step(self, one: BestWeights) -> Path:
        return self.path(f"kept-{one.step}")


def _mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of floating-point tensors, taken in float64. Others are equal: the first."""
    first = values[0]
    if not first.is_floating_point():
        return first
    total: Any = sum(value.double() for value in values)
    mean: Tensor = (total / len(values)).to(first.dtype)
    return mean
