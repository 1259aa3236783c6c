"""Batches with a batch of other rows beside each, for a second loss in the same step.

The rows beside follow from the seed and the running number of a batch alone. A run that goes on walks the rows up to
where it stopped, without reading sound, and any number of processes reads what one does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch.utils.data import Sampler

from audiossl.data.stream import BatchStream, Item, StreamPlan

if TYPE_CHECKING:
    from lhotse import CutSet


@dataclass(frozen=True)
class Beside:
    """The rows that come beside those of a task.

    cuts: they are drawn as training rows are, each once an epoch.
    replaced_after: batches over which they give way to the task's own rows, each with a probability that grows from 0
    to 1. 0 for never.
    """

    cuts: CutSet
    replaced_after: int = 0


class PairedStream(Sampler[Item]):
    """The batches of `BatchStream`, each with an item beside it.

    cuts: the rows of the task.
    plan: of its training.
    beside: the other rows, which become batches of the same size. Fields of rows by which the task's are drawn
        (`balance`, `compose`) and shards are left out of account.
    Raises ManifestError as `BatchStream` does.
    """

    def __init__(self, cuts: CutSet, plan: StreamPlan, beside: Beside) -> None:
        self.plan, self.beside = plan, beside
        config = replace(plan.config, balance="", compose={}, order="random")
        self._own = BatchStream(cuts, plan.at(None, 0, 1))
        self._others = BatchStream(beside.cuts, replace(plan.at(None, 0, 1), config=config, seed=plan.seed + 1))

    def __iter__(self) -> Iterator[Item]:
        start, turn = self.plan.start, 0
        for number, (item, other) in enumerate(zip(self._own, self._others, strict=False)):
            if start is not None and item.position <= start:
                continue
            if turn % self.plan.world_size == self.plan.rank:
                yield item._replace(beside=self._replaced(other, item, number))
            turn += 1

    def _replaced(self, other: Item, item: Item, number: int) -> Item:
        """The item beside batch `number`, some rows of which are those of the batch itself."""
        if not self.beside.replaced_after:
            return other
        share, draw = number / self.beside.replaced_after, random.Random(f"{self.plan.seed} {number} beside")
        own = list(zip(item.cuts, item.draws, strict=True))
        rows = [
            own[place % len(own)] if draw.random() < share else row
            for place, row in enumerate(zip(other.cuts, other.draws, strict=True))
        ]
        # Rows that are longer than those that they stand for may be too much for a batch.
        while len(rows) > 1 and not self.plan.config.fits(len(rows), max(cut.duration for cut, _ in rows)):
            rows.pop()
        cuts, draws = zip(*rows, strict=True)
        return Item(other.position, list(cuts), list(draws))
