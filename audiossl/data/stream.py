"""The order of batches: which rows come together, and which process gets them.

Every process walks the same stream of batches (rows only, no sound) and takes its share of them. Two processes
therefore consume exactly what one consumes with two batches a step, and a run can go on with another number of
processes.

Batches are packed here rather than by lhotse's dynamic samplers. Those stop one row too late (a long row after short
ones exceeds max_duration), choose the same sequence of buckets in every epoch, leave a partial batch in every bucket,
which is most of the batches of a small corpus, and shuffle within a buffer, so that a manifest which is sorted by label
gives batches of few labels. What is drawn in an epoch is in `audiossl.data.draws`.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import chain, count, islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

from torch.utils.data import Sampler

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.types import Position
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import EpochDraws, Use
from audiossl.data.reading import place_of

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

T = TypeVar("T")
_log = logging.getLogger(__name__)


class HasInputFormat(Protocol):
    """Anything that says which sound it takes, as an encoder does."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def min_samples(self) -> int: ...
    @property
    def max_samples(self) -> int | None: ...


@dataclass(frozen=True)
class StreamPlan:
    """All that determines the batches of one process. By default it is alone and starts anew.

    Raises ConfigError for crops that are too short for who takes the sound, ValueError for a rank that is none.
    """

    config: LoaderConfig
    """How rows become batches."""
    _: KW_ONLY
    sample_rate_hz: int
    """Rate of the sound in the batches."""
    min_samples: int = 1
    """The shortest sound that can be used, at that rate."""
    max_samples: int | None = None
    """The longest sound that can be used, at that rate. None for no limit."""
    seed: int = 0
    """What is drawn in training depends on it."""
    copies: int = 0
    """In training, how many changed copies of each row come in turn. 0 for a new one in every epoch."""
    train: bool = False
    """Endless and shuffled, else one pass in a fixed order in which each row occurs exactly once."""
    start: Position | None = None
    """The last position of the last step, over all processes (positions compare like tuples), None for the beginning.

    The stream goes on after it as if it had never stopped."""
    rank: int = 0
    """Which of the processes this one is, from 0."""
    world_size: int = 1
    """How many processes share the batches."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank={self.rank} must be from 0 to world_size - 1 = {self.world_size - 1}.")
        longest_s = self.config.max_crop_s
        if self.train and longest_s is not None and longest_s < self.shortest_s:
            raise ConfigError(
                f"The loader's max_crop_s={longest_s:g} is below the {self.min_samples} samples at "
                f"{self.sample_rate_hz} Hz that are needed; set at least {self.min_samples / self.sample_rate_hz:g}."
            )

    @classmethod
    def of(
        cls, encoder: HasInputFormat, config: LoaderConfig, *, seed: int = 0, train: bool = False, copies: int = 0
    ) -> Self:
        """The plan of batches for an encoder.

        encoder: what takes the sound.
        config: how rows become batches.
        seed: of what is drawn in training.
        train: whether the stream is endless and shuffled.
        copies: how many changed copies of each row come in turn.
        """
        rate, shortest, longest = encoder.sample_rate_hz, encoder.min_samples, encoder.max_samples
        return cls(
            config,
            sample_rate_hz=rate,
            min_samples=shortest,
            max_samples=longest,
            seed=seed,
            train=train,
            copies=copies if train else 0,
        )

    def at(self, start: Position | None, rank: int, world_size: int) -> Self:
        """The same plan for one process of `world_size`, after the position `start`."""
        return replace(self, start=start, rank=rank, world_size=world_size)

    @property
    def shortest_s(self) -> float:
        """What a row must last, where resampling rounds to the nearest sample."""
        return (self.min_samples - 0.5) / self.sample_rate_hz


class Item(NamedTuple):
    """One batch before its sound is read.

    position: of the batch.
    cuts: its rows.
    draws: in training, how often the epoch had each of them before.
    beside: of other rows, for a second loss. None for none.
    """

    position: Position
    cuts: list[Cut]
    draws: Sequence[int] = ()
    beside: Item | None = None


class BatchStream(Sampler[Item]):
    """The batches of one process as (Position, rows), as its plan has them.

    A batch's Position is the same in every process and for every number of processes. The process `rank` gets the
    batches whose running number since `start` (whatever epoch they are in) is `rank` modulo `world_size`. Rows are all
    that is read to get there.
    Raises ManifestError if no row is left, for an id that occurs twice and for a row that no batch can hold.
    """

    def __init__(self, cuts: CutSet, plan: StreamPlan) -> None:
        self.plan, pool_size = plan, plan.config.pool_size
        if plan.train:
            self._draws = EpochDraws(_usable_rows(cuts, plan), plan.config, plan.seed, plan.copies)
            return
        # What fits into the pool is read from its file once, not in every pass.
        held = list(islice(cuts, pool_size + 1))
        self._cuts: Iterable[Cut] = held if len(held) <= pool_size else cuts
        check_usable(self._cuts, plan)

    def __iter__(self) -> Iterator[Item]:
        start, place = self.plan.start, (self.plan.rank, None, self.plan.world_size)
        if not self.plan.train:
            items = (Item(Position(0, number), cuts) for number, cuts in enumerate(self._pools()))
            yield from islice((item for item in items if start is None or item.position > start), *place)
            return
        # Only the rows of this process's batches are made.
        for epoch, number, uses in islice(self._drawn(), *place):
            cuts = [self._draws.cut(use, epoch) for use in uses]
            yield Item(Position(epoch, number), cuts, [use.draw for use in uses])

    def _drawn(self) -> Iterator[tuple[int, int, list[Use]]]:
        """Epoch, number and rows of the batches of all processes, from the one after `start`."""
        start, config = self.plan.start, self.plan.config
        first, skipped = (start.epoch, start.batch + 1) if start else (0, 0)
        for epoch in count(first):
            batches: list[list[Use]] = []
            for place, window in enumerate(self._draws.windows(epoch)):
                packed = pack(window, config, lambda use: use.lasts_s)
                # Classes of duration come in any order.
                random.Random(f"{self.plan.seed} {epoch} batches{f' {place}' if place else ''}").shuffle(packed)
                batches += packed
            for number in range(skipped if epoch == first else 0, len(batches)):
                yield epoch, number, batches[number]

    def _pools(self) -> Iterator[list[Cut]]:
        """One pass over all rows, the longest of a pool first, which shows at once whether the memory suffices."""
        config, rows = self.plan.config, iter(self._cuts)
        left_over: list[Cut] = []
        while pool := left_over + list(islice(rows, config.pool_size)):
            ordered = sorted(pool, key=lambda cut: (-cut.duration, cut.id))
            batches = pack(ordered, config, lambda cut: float(cut.duration))
            upcoming = next(rows, None)
            # The last batch of a pool is rarely full: its rows wait for the next pool.
            left_over = batches.pop() if upcoming is not None else []
            rows = rows if upcoming is None else chain([upcoming], rows)
            yield from batches


def pack(rows: Iterable[T], config: LoaderConfig, duration_of: Callable[[T], float]) -> list[list[T]]:
    """Rows in their order as batches that are as large as the configuration allows.

    duration_of: gives the seconds of a row.
    """
    batches: list[list[T]] = []
    longest_s = 0.0
    for row in rows:
        lasts_s = duration_of(row)
        longest_s = max(longest_s, lasts_s)
        if batches and config.fits(len(batches[-1]) + 1, longest_s):
            batches[-1].append(row)
        else:
            batches.append([row])
            longest_s = lasts_s
    return batches


def check_usable(cuts: Iterable[Cut], plan: StreamPlan) -> None:
    """Raise ManifestError for rows of which no batch can be made, in one pass over them."""
    deque(_usable_rows(cuts, plan), maxlen=0)


def _usable_rows(cuts: Iterable[Cut], plan: StreamPlan) -> Iterator[Cut]:
    """All rows but those that are left out. Raises ManifestError for what would otherwise stop a run in the middle."""
    config, train = plan.config, plan.train
    seen: set[str] = set()
    num_short = 0
    # A row must be neither too short at the highest speed nor too long at the lowest.
    slowest, fastest = (min(config.speeds), max(config.speeds)) if train and config.speeds else (1.0, 1.0)
    for cut in cuts:
        if train and cut.duration < config.min_duration_s:
            num_short += 1
            continue
        # Crops are drawn by the id, and predictions are told apart by it.
        if cut.id in seen:
            raise ManifestError(f"The manifest has two rows with the id {cut.id}; ids must be unique: make it again.")
        seen.add(cut.id)
        least_s, most_s = cut.duration / fastest, cut.duration / slowest
        if least_s < plan.shortest_s:
            raise ManifestError(
                f"Row {cut.id} ({place_of(cut)}) lasts {least_s:g} s{_at(fastest)}, too short for this encoder, which "
                f"needs {plan.shortest_s:g} s; leave it out, or set the loader's min_duration_s in training."
            )
        if not config.fits(1, min(most_s, config.max_crop_s or most_s) if train else most_s):
            raise ManifestError(
                f"Row {cut.id} ({place_of(cut)}) lasts {most_s:g} s{_at(slowest)}, longer than max_duration_s="
                f"{config.max_duration_s:g}; raise that, set max_crop_s in training, or cut the recording into parts."
            )
        yield cut
    if not seen:
        raise ManifestError("No row of the manifest is left to load; check it, and the loader's min_duration_s.")
    if num_short:
        _log.warning("%d rows shorter than %g s are left out of training.", num_short, config.min_duration_s)


def _at(speed: float) -> str:
    return "" if speed == 1 else f" at speed {speed:g}"
