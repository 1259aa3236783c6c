"""One pass over the batches for several trainers: each batch is read once, and each takes its turn on it.

Every trainer stays the one that it would be alone (its optimizer, schedule, early stop, checkpoints and log), and
evaluations on dev share a pass as well. What is random in a step is drawn from the seed and the number of the batch,
so weights and figures are those of separate runs, bit by bit. Small heads that differ in nothing but the learning rate
may be computed as one (`audiossl.training.stacked_heads`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import TrainingError
from audiossl.core.terminal import Interrupted
from audiossl.core.types import Batch, BatchSource, Features, Position
from audiossl.encoders.upstream import Upstream
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext, accelerator_of
from audiossl.training.downstream import Downstream
from audiossl.training.evaluation import Evaluator
from audiossl.training.prediction import predict_together
from audiossl.training.stacked_heads import StackableStepper, Stacks
from audiossl.training.step import Stepper
from audiossl.training.task import Prediction, Task
from audiossl.training.trackers import Trackers
from audiossl.training.trainer import Trainer


class SharedBatches:
    """One walk through a stream of batches for readers that keep step with each other. One batch is in memory.

    It begins where the first to read begins. That must be the reader furthest behind. One that is ahead, as after a
    kill between two checkpoints, may read when the others have caught up.
    """

    def __init__(self, source: BatchSource, device: torch.device) -> None:
        self._source, self._device = source, device
        self._batches: Iterator[Batch] | None = None
        self._before: Position | None = None  # of the batch before the one in memory
        self._batch: Batch | None = None

    def read(self, start: Position | None, rank: int, world: int) -> Iterator[Batch]:
        """A `BatchSource` for one reader: batches on the device, as they are wanted."""
        while True:
            batch = self.after(start)
            start = batch.position
            yield batch

    def after(self, position: Position | None) -> Batch:
        """The batch after the one at this position (None: the first).

        Raises ValueError for a position that is over, and for batches without positions.
        """
        if self._batches is None:
            self._batches, self._before = iter(self._source(position, 0, 1)), position
        while self._batch is None or self._before != position:
            if _order(self._before) > _order(position):
                raise ValueError(f"The batch after {position} was read and is gone.")
            if self._batch is not None:
                self._before = self._batch.position
            self._batch = next(self._batches).to(self._device)
            if self._batch.position is None:
                raise ValueError("Batches can be shared only if they have positions.")
        return self._batch


def _order(position: Position | None) -> Position:
    return Position(-1, -1) if position is None else position


class RememberedStates:
    """An upstream that remembers its answers for the batch that several heads work on.

    upstream: frozen, in the same precision and mode for all of them.
    Each of `up_to_layer` that is asked for is computed once, by the first to ask.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._wavs: Tensor | None = None
        self._answers: dict[int | None, Features] = {}

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features:
        """What the upstream gives. Another tensor of sound is another batch.

        up_to_layer: the last layer that is wanted, or None for all.
        """
        if batch.wavs is not self._wavs:
            self._wavs, self._answers = batch.wavs, {}
        if up_to_layer not in self._answers:
            self._answers[up_to_layer] = self.upstream.of_batch(batch, up_to_layer=up_to_layer)
        return self._answers[up_to_layer]


class SharedEvaluator(Evaluator):
    """Takes the predictions that were made for several tasks in one pass, where there are some of its own."""

    def __init__(self, made: dict[Task, list[Prediction]]) -> None:
        self._made = made

    def predict(self, context: TrainingContext, batches: BatchSource) -> list[Prediction]:
        """As `Evaluator.predict`."""
        rows = self._made.pop(context.task, None)
        return super().predict(context, batches) if rows is None else rows


class SharedHead(NamedTuple):
    """A head of a shared pass.

    task: with its frozen upstream, the same for all.
    config: of its trainer, with as many steps and batches a step as the others.
    folder: of its run.
    kind: heads of the same kind are computed as one, those without a kind take turns.
    resume: it goes on from its last checkpoint.
    trackers: what gets the figures of its log. None for nothing.
    """

    task: Downstream
    config: TrainerConfig
    folder: Path
    kind: Hashable = None
    resume: bool = False
    trackers: Trackers | None = None


class SharedPass:
    """Trains heads on one frozen encoder, with the same seed and settings of the data, in one process.

    heads: what to train.
    train: a stream of batches, as for a `Trainer`.
    dev: one pass over the held-out rows.
    seed: of all of them.
    `trainers` has a trainer for each head, in their order. Raises TrainingError for a head without a checkpoint to go
    on from, and ValueError for heads on several encoders.
    """

    def __init__(self, heads: Sequence[SharedHead], train: BatchSource, dev: BatchSource, seed: int = 0) -> None:
        upstream = heads[0].task.upstream
        if any(head.task.upstream is not upstream for head in heads):
            raise ValueError("The heads of a shared pass must share one encoder.")
        self._dev, self._states, self._stacks = dev, RememberedStates(upstream), Stacks()
        self._batches = SharedBatches(train, accelerator_of(heads[0].config).device)
        self._predicted: dict[Task, list[Prediction]] = {}
        self.trainers = [self._trainer_of(head, seed) for head in heads]
        self._heads = dict(zip(self.trainers, heads, strict=True))
        self._running = {trainer: trainer.steps() for trainer in self.trainers}
        self._settled: set[Trainer] = set()  # who did what was due since their last step
        self._ended: list[Trainer] = []
        self._failed: list[tuple[Trainer, TrainingError]] = []
        self.step = min(trainer.state.step for trainer in self.trainers)

    def __len__(self) -> int:
        """How many are not through."""
        return len(self._running)

    def take_ended(self) -> list[Trainer]:
        """Those that are through since this was asked last."""
        taken, self._ended = self._ended, []
        return taken

    def take_failed(self) -> list[tuple[Trainer, TrainingError]]:
        """Those that could not go on since this was asked last, and why."""
        taken, self._failed = self._failed, []
        return taken

    def turn(self, *, last: bool = False) -> list[float]:
        """One batch for each trainer that is furthest behind.

        Returns the losses of those that ended a step with it.
        last: let the step in progress be the last. Raises Interrupted when those that have more to do have saved it.
        """
        now = self._furthest_behind()
        if last:
            for trainer in now:
                trainer.stop()
        if all(trainer.stepper.number == 0 for trainer in now):
            now = self._settle(now)
            self._stacks.arrange(now)
        self._settled.difference_update(now)
        found = [self._next(trainer) for trainer in now]
        self.step = max([self.step, *(trainer.state.step for trainer in now)])
        for result in found:
            if isinstance(result, Interrupted):
                raise result
        return [result for result in found if isinstance(result, float)]

    def reached(self, step: int) -> bool:
        """Whether all have made this step and what was due after it: evaluations and checkpoints."""
        while self._running and (now := self._furthest_behind())[0].state.step >= step:
            if self._settled.issuperset(now):
                return True
            self._settle(now)
        return not self._running

    def end(self, trainer: Trainer) -> None:
        """Take one out of the pass between two steps. It is saved, so that it could go on elsewhere.

        The others go on as if it had never been there, but for the rounding of heads that are computed as one.
        """
        trainer.save()
        self._running.pop(trainer).close()
        self._settled.discard(trainer)
        self._heads[trainer].task.encode_by(None)

    def save(self) -> None:
        """Let all that are between two steps write a checkpoint, where the pass is not gone on with."""
        for trainer in self._settled:
            if trainer.state.step:
                trainer.save()

    def _furthest_behind(self) -> list[Trainer]:
        first = min(map(_place, self._running))
        return [trainer for trainer in self._running if _place(trainer) == first]

    def _settle(self, now: Sequence[Trainer]) -> list[Trainer]:
        """Evaluations and checkpoints that are due between two steps. Returns those that are not through with them."""
        due = [trainer for trainer in now if trainer not in self._settled]
        self._predict_dev([trainer for trainer in due if trainer.owes_evaluation])
        for trainer in due:
            self._next(trainer)
        left = [trainer for trainer in now if trainer in self._running]
        self._settled.update(left)
        return left

    def _trainer_of(self, head: SharedHead, seed: int) -> Trainer:
        head.task.encode_by(self._states)
        stepper = Stepper() if head.kind is None else StackableStepper(head.kind)
        evaluator = SharedEvaluator(self._predicted)
        place = head.task, head.config, head.folder, self._batches.read, self._dev
        trainer = Trainer(*place, seed=seed, stepper=stepper, evaluator=evaluator, trackers=head.trackers)
        if head.resume:
            trainer.restore()
        return trainer

    def _next(self, trainer: Trainer) -> float | Interrupted | None:
        """A turn of one trainer, which leaves the pass when it has none left."""
        stopped: Interrupted | None = None
        try:
            return next(self._running[trainer])
        except StopIteration:
            self._ended.append(trainer)
        except TrainingError as error:
            self._failed.append((trainer, error))
        except Interrupted as stop:
            stopped = stop
        del self._running[trainer]
        self._settled.discard(trainer)
        self._heads[trainer].task.encode_by(None)
        return stopped

    def _predict_dev(self, trainers: Sequence[Trainer]) -> None:
        """Predict dev with all of them in one pass. Each scores its own predictions when it is its turn."""
        if len(trainers) < 2:
            return
        for trainer in trainers:
            trainer.context.prepare()  # where a run goes on, an evaluation may come before its first step
        context = trainers[0].context
        batches = (batch.to(context.device) for batch in self._dev(None, 0, 1))
        with context.autocast():
            found = predict_together([trainer.task for trainer in trainers], batches)
        self._predicted.update(zip([trainer.task for trainer in trainers], found, strict=True))


def _place(trainer: Trainer) -> tuple[int, int]:
    """How far it is: the step in progress, and the number of the batch within that."""
    return trainer.state.step, trainer.stepper.number
