"""The contract of a task: all that the trainer and the evaluation know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import Parameter

from audiossl.types import Batch, Loss, Metric


class Monitor(NamedTuple):
    """The metric by which checkpoints are chosen, and whether more or less of it is better."""

    name: str
    mode: Literal["max", "min"]

    def better(self, new: float, old: float | None) -> bool:
        if new != new:  # NaN is never better
            return False
        return old is None or (new > old if self.mode == "max" else new < old)


Prediction = dict[str, Any]


class ParameterGroup(NamedTuple):
    """Parameters with a peak learning rate of their own (None: the trainer's); name: in the log, as `lr_<name>`."""

    name: str
    parameters: list[Parameter]
    lr: float | None = None


class Task(nn.Module, ABC):
    """A loss to train with, predictions to write and a score to report.

    Predictions are JSON-able, one per item, with at least `id`; `score` needs nothing but them, so that a stored
    predictions.jsonl can be scored again without the model.
    """

    monitor: ClassVar[Monitor]

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch, differentiable."""

    @abstractmethod
    def predict(self, batch: Batch) -> list[Prediction]:
        """One prediction for each item; with a `target` where the batch has one."""

    @abstractmethod
    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """Metrics with intervals, from predictions alone."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss as a tuple: data-parallel wrappers call forward and understand tuples, not our types."""
        loss = self.loss(batch)
        return loss.total, loss.weight, loss.logs

    def begin_step(self, step: int) -> None:
        """Called before the update `step` (from 0). What it does must follow from the number: runs are resumed."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """What trains, each parameter in one group."""
        return [ParameterGroup("", [parameter for parameter in self.parameters() if parameter.requires_grad])]

    @property
    def may_skip_parameters(self) -> bool:
        """True where a step may leave something trainable without a gradient: several processes must expect it."""
        return False

    def trainable_state(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint must hold: everything but frozen weights that can be loaded by name."""
        return self.state_dict()

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `trainable_state`; raises CheckpointError that lists names that do not match."""
        from audiossl.checkpoint import load_strict

        load_strict(self, state, expected=self.trainable_state(), what=type(self).__name__)

    @property
    def needs_fit(self) -> bool:
        """True while `fit` has statistics of the training data to estimate before the first step."""
        return False

    def fit(self, batches: Iterable[Batch]) -> None:
        """Estimate what is not learnt by gradient, from training batches; may stop reading when it has enough."""

    def snapshot(self, batch: Batch, folder: Path) -> dict[str, Path]:
        """Draw what the model makes of one held-out batch, at each evaluation; title -> PNG file in `folder`."""
        return {}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        """Draw what a reader wants to see into `folder`; title -> PNG or SVG file."""
        return {}
