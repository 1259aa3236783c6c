"""The contract of a task: all that the trainer and the evaluation know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import Parameter

from audiossl.core.tensors import load_strict
from audiossl.core.types import Batch, Loss, Metric, Table


class Monitor(NamedTuple):
    """The metric by which checkpoints are chosen, and whether more or less of it is better."""

    name: str
    mode: Literal["max", "min"]

    def better(self, new: float, old: float | None) -> bool:
        if new != new:  # NaN is never better
            return False
        return old is None or (new > old if self.mode == "max" else new < old)


Prediction = dict[str, Any]
Pass = Callable[[], Iterable[Batch]]  # one walk through the batches of a split, whenever it is called


class ParameterGroup(NamedTuple):
    """Parameters with a peak learning rate of their own (None: the trainer's), which the log calls `lr_<name>`."""

    name: str
    parameters: list[Parameter]
    lr: float | None = None


class RowsOf(Protocol):
    """Predictions of the items of a split, or of a manifest.

    name: of the split, or the path of the manifest.
    parts_s: seconds of the consecutive parts that each item is cut into first. None for whole items.
    """

    def __call__(self, name: str, parts_s: float | None = None) -> Sequence[Prediction]: ...


class Task(nn.Module, ABC):
    """A loss to train with, predictions to write and a score to report.

    Predictions are JSON-able, with at least `id`: `predict` gives one for each item, `assemble` makes of those of a
    whole split what is stored. `score`, `facts`, `tables` and `figures` need nothing but them, so that a stored
    predictions.jsonl can be scored again without the model. Rows with `target` and `predicted` count as right or wrong
    where runs are compared. Rows with `num_errors` and `num_units` (words, ...) count by their ratio, which `measure`
    may name. Rows of one
    `group` (of one `speaker` where they have none) vary as a whole. An evaluation adds `audio` (path, start_s,
    duration_s) to rows that are named like an item.
    """

    monitor: Monitor  # of the class, or of an instance whose settings decide what is counted
    trains: ClassVar[bool] = (
        True  # False where no step is made, and `assemble` decides on dev all that is to be decided
    )

    @abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch, differentiable. It is never called where nothing trains."""

    @abstractmethod
    def predict(self, batch: Batch) -> list[Prediction]:
        """One prediction for each item, with a `target` where the batch has one."""

    def predict_pass(self, batches: Pass) -> list[Prediction]:
        """The predictions of a split, by default those of its batches in turn.

        A task that compares items with each other may walk through the batches more than once.
        """
        return [prediction for batch in batches() for prediction in self.predict(batch)]

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """From one row for each item of a split to the rows that are stored and scored, for instance pairs of items."""
        return predictions

    def revise(self, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
        """What stored rows are by the settings of now, where some of these need no model. As they are by default."""
        return predictions

    @abstractmethod
    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """Metrics with intervals, from predictions alone."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss as a tuple: data-parallel wrappers call forward and understand tuples, not our types."""
        loss = self.loss(batch)
        return loss.total, loss.weight, loss.logs

    def begin_step(self, step: int) -> None:
        """Called before the update `step` (from 0). What it does must follow from the number: runs are resumed."""

    def after_step(self, step: int) -> None:
        """Called after the update `step` (from 0), before an evaluation or a checkpoint, also where it was skipped.

        What it does must follow from the number and from what a checkpoint holds: runs are resumed.
        A task that overrides it is never computed together with others (`audiossl.training.stacked_heads`).
        """

    def watch(self, step: int, figures: Mapping[str, float]) -> None:
        """Called with the figures of update `step` (from 0): the loss, its logs, rates and the norm of the gradient.

        Raises TrainingError to stop training that has failed.
        """

    def parameter_groups(self) -> list[ParameterGroup]:
        """What trains, each parameter in one group."""
        return [ParameterGroup("", [parameter for parameter in self.parameters() if parameter.requires_grad])]

    def gradient_parts(self) -> dict[str, list[Parameter]]:
        """Parameters whose gradient's norm is logged apart, as `grad_norm_<name>`. None by default."""
        return {}

    @property
    def may_skip_parameters(self) -> bool:
        """True where a step may leave something trainable without a gradient: several processes must expect it."""
        return False

    def sharded_modules(self) -> list[nn.Module]:
        """Modules that are gathered one by one where processes share parameters (`trainer.sharding`). None by default.

        Every process calls them alike, as `module(...)`. A part of another comes before it.
        Raises ConfigError where that cannot be.
        """
        return []

    def trainable_state(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint must hold: everything but frozen weights with a name to load them by."""
        return self.state_dict()

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `trainable_state`. Raises CheckpointError with the names that do not match."""
        load_strict(self, state, expected=self.trainable_state(), what=type(self).__name__)

    def take(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Copy tensors where the task has one of that name and shape. Returns the names of those."""
        own = self.trainable_state()
        fits = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
        self.load_trainable_state({**own, **fits})
        return list(fits)

    @property
    def needs_fit(self) -> bool:
        """True while `fit` has statistics of the training data to estimate before the first step."""
        return False

    def fit(self, batches: Iterable[Batch]) -> None:
        """Estimate what is not learnt by gradient, from training batches, which may be walked through more than once.

        It may stop reading when it has enough.
        """

    def snapshot(self, batch: Batch, folder: Path) -> dict[str, Path]:
        """Draw what the model makes of one held-out batch, at each evaluation. Returns title -> PNG in `folder`."""
        return {}

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """What metrics.json says beside the metrics: `labels` and `confusion` (counts by target and predicted), ..."""
        return {}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """What the report shows in words: the worst items, figures by group, ..."""
        return []

    def columns(self, prediction: Prediction) -> dict[str, str]:
        """What `audiossl predict` prints of an item beside its id, by the title of the column."""
        shown = {
            key: value for key, value in prediction.items() if key != "id" and isinstance(value, str | int | float)
        }
        return {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in shown.items()}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        """Draw what a reader wants to see into `folder`. Returns title -> PNG or SVG file."""
        return {}

    def write_files(self, folder: Path, predictions: Sequence[Prediction]) -> None:
        """Write what other programs read of the predictions of a split into `folder`. Nothing by default."""
