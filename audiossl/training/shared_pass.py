"""One pass over the batches for several trainers: each batch is read once, and each takes its turn on it.

Every trainer stays the one that it would be alone (its optimizer, schedule, early stop, checkpoints and log), and
evaluations on dev share a pass as well. What is random in a step is drawn from the seed and the number of the batch,
so weights and figures are those of separate runs, bit by bit. Small heads that differ in nothing but the learning rate
may be computed as one (`audiossl.training.stacked_heads`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from audiossl.core.errors import TrainingError
from audiossl.core.types import Batch, BatchSource, Position
from audiossl.training.prediction import predict_together
from audiossl.training.stacked_heads import Stacks
from audiossl.training.trainer import Interrupted, Trainer


class SharedBatches:
    """One walk through a stream of batches for trainers that keep step with each other; one batch is in memory.

    It begins after the earliest step that one of them has made. A trainer that is ahead, as after a kill between two
    checkpoints, may ask for batches when the others have caught up.
    """

    def __init__(self, source: BatchSource, trainers: Sequence[Trainer]) -> None:
        first = min(trainers, key=lambda trainer: trainer.state.step)
        self._first_step, self.per_step = first.state.step, first.config.batches_per_step
        self._device = first.accelerator.device
        self._batches = iter(source(first.state.position, 0, 1))
        self._last: tuple[int, Batch] | None = None

    def of(self, trainer: Trainer) -> BatchSource:
        """What the trainer reads: the batches of the step that it makes, when it makes it."""

        def batches(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
            while True:
                step = trainer.state.step
                for number in range(self.per_step):
                    yield self.at(step, number)

        return batches

    def at(self, step: int, number: int) -> Batch:
        """The batch `number` of a step, on the device. Raises ValueError for one that is over."""
        wanted = (step - self._first_step) * self.per_step + number
        read, batch = self._last or (-1, None)
        while read < wanted:
            batch = shareable(next(self._batches).to(self._device))
            read += 1
            self._last = read, batch
        if batch is None or read > wanted:
            raise ValueError(f"Batch {number} of step {step} was read and is gone.")
        return batch


def shareable(batch: Batch) -> Batch:
    """A batch whose hidden states, where it brings none, are those that the first head computes."""
    return batch if batch.features is not None else replace(batch, states={})


class SharedPass:
    """Trainers of heads on one frozen encoder, with the same seed and settings of the data, in one process.

    What they have done already was restored before. kinds: trainers of the same kind are computed as one, those without
    a kind take turns.
    """

    def __init__(
        self,
        trainers: Sequence[Trainer],
        train: BatchSource,
        dev: BatchSource,
        kinds: Mapping[Trainer, Hashable] | None = None,
    ) -> None:
        for trainer in trainers:
            trainer.prepare()
        self._batches, self._dev = SharedBatches(train, trainers), dev
        for trainer in trainers:
            trainer.train_batches, trainer.dev_batches = self._batches.of(trainer), dev
        self._running = {trainer: trainer.steps() for trainer in trainers}
        self._stacks = Stacks(kinds or {}, self._batches.at)
        self._ended: list[Trainer] = []
        self._failed: list[tuple[Trainer, TrainingError]] = []
        self.step = min(trainer.state.step for trainer in trainers)

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
        """One batch for each trainer that is furthest behind; the losses of those that ended a step with it.

        last: let the step in progress be the last. Raises Interrupted when those that have more to do have saved it.
        """
        first = min((trainer.state.step, trainer.number) for trainer in self._running)
        now = [trainer for trainer in self._running if (trainer.state.step, trainer.number) == first]
        if last:
            for trainer in now:
                trainer.stop()
        if first[1] == 0:
            self._evaluate([trainer for trainer in now if trainer.owes_evaluation])
            for trainer in now:  # evaluations and checkpoints; some may be through with them
                self._next(trainer)
            now = [trainer for trainer in now if trainer in self._running]
            self._stacks.arrange(now)
        found = [self._next(trainer) for trainer in now]
        self.step = max([self.step, *(trainer.state.step for trainer in now)])
        for result in found:
            if isinstance(result, Interrupted):
                raise result
        return [result for result in found if isinstance(result, float)]

    def _next(self, trainer: Trainer) -> float | Interrupted | None:
        try:
            return next(self._running[trainer])
        except StopIteration:
            self._ended.append(trainer)
        except TrainingError as error:
            self._failed.append((trainer, error))
        except Interrupted as stop:
            del self._running[trainer]
            return stop
        del self._running[trainer]
        return None

    def _evaluate(self, trainers: Sequence[Trainer]) -> None:
        """Predict dev with all of them in one pass; each scores its own predictions when it is its turn."""
        if len(trainers) < 2:
            return
        first = trainers[0]
        batches = (shareable(batch.to(first.accelerator.device)) for batch in self._dev(None, 0, 1))
        with first.autocast():
            found = predict_together([trainer.task for trainer in trainers], batches)
        for trainer, rows in zip(trainers, found, strict=True):
            trainer.dev_rows = rows
