"""The order of batches: which rows come together, and which process gets them.

Every process walks the same stream of batches (rows only, no sound) and takes its share of them. Two processes
therefore consume exactly what one consumes with two batches a step, and a run can go on with another number of
processes.

Batches are packed here rather than by lhotse's dynamic samplers. Those stop one row too late (a long row after short
ones exceeds max_duration), choose the same sequence of buckets in every epoch, and leave a partial batch in every
bucket, which is most of the batches of a small corpus.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol, Self

from torch.utils.data import Sampler

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, check_ranges
from audiossl.core.types import Position
from audiossl.data.fields import read_field
from audiossl.data.reading import path_of

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoaderConfig:
    """How rows become batches: by number, by seconds or by both."""

    batch_size: Count | None = 32
    """Most rows in a batch. Null for no such limit, which needs max_duration_s."""
    max_duration_s: Positive | None = None
    """Most seconds in a batch with its padding, which is the rows times the longest. Null for no such limit, which
    needs batch_size."""
    num_buckets: Count = 10
    """In training, into how many classes of duration rows are grouped, so that little is padding. 1 for no grouping."""
    pool_size: Count = 20000
    """Rows held in memory, within which they are shuffled and grouped."""
    min_duration_s: NonNegative = 0.0
    """In training, shorter rows are left out and counted in the log. 0 leaves out none."""
    max_crop_s: Positive | None = None
    """In training, longer rows are cut to a random part of this length. Null for whole rows."""
    balance: str = ""
    """In training, a field of the rows ('speaker', 'label', ...) of which every value is drawn equally often, as many
    rows in an epoch as there are. Empty for each row once."""
    speeds: list[Annotated[float, Range(0.5, 2)]] = field(default_factory=list)
    """In training, each row is played at one of these speeds, drawn anew in every epoch, [0.9, 1.0, 1.1] for instance.
    Pitch changes with it (speed perturbation, Ko et al., 2015). Empty for none."""
    num_workers: CountOrZero = 0
    """Processes that read sound ahead. 0 for none."""

    def __post_init__(self) -> None:
        check_ranges(self, "data")
        if self.batch_size is None and self.max_duration_s is None:
            raise ConfigError("The loader needs batch_size, max_duration_s or both; set batch_size=32, for instance.")

    def fits(self, num_rows: int, longest_s: float) -> bool:
        """Whether that many rows, the longest of which lasts `longest_s`, may be one batch."""
        too_many = self.batch_size is not None and num_rows > self.batch_size
        return not too_many and (self.max_duration_s is None or num_rows * longest_s <= self.max_duration_s)


class HasInputFormat(Protocol):
    """Anything that says which sound it takes, as an encoder does."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def min_samples(self) -> int: ...


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
    seed: int = 0
    """What is drawn in training depends on it."""
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
    def of(cls, encoder: HasInputFormat, config: LoaderConfig, *, seed: int = 0, train: bool = False) -> Self:
        """The plan of batches for an encoder.

        encoder: what takes the sound.
        config: how rows become batches.
        seed: of what is drawn in training.
        train: whether the stream is endless and shuffled.
        """
        rate, shortest = encoder.sample_rate_hz, encoder.min_samples
        return cls(config, sample_rate_hz=rate, min_samples=shortest, seed=seed, train=train)

    def at(self, start: Position | None, rank: int, world_size: int) -> Self:
        """The same plan for one process of `world_size`, after the position `start`."""
        return replace(self, start=start, rank=rank, world_size=world_size)

    @property
    def shortest_s(self) -> float:
        """What a row must last, where resampling rounds to the nearest sample."""
        return (self.min_samples - 0.5) / self.sample_rate_hz


class Item(NamedTuple):
    """One batch before its sound is read."""

    position: Position
    cuts: list[Cut]


class BatchStream(Sampler[Item]):
    """The batches of one process as (Position, rows), as its plan has them.

    A batch's Position is the same in every process and for every number of processes. The process `rank` gets the
    batches whose running number since `start` (whatever epoch they are in) is `rank` modulo `world_size`. Rows are all
    that is read to get there.
    Raises ManifestError if no row is left, for an id that occurs twice and for a row that no batch can hold.
    """

    def __init__(self, cuts: CutSet, plan: StreamPlan) -> None:
        self.plan, config = plan, plan.config
        # What fits into the pool is read from its file once, not in every epoch.
        balanced = plan.train and bool(config.balance)  # which needs to know all rows
        held = list(cuts if balanced else islice(cuts, config.pool_size + 1))
        self.cuts: Iterable[Cut] = held if balanced or len(held) <= config.pool_size else cuts
        num_short = _check_rows(self.cuts, plan)
        if num_short:
            _log.warning("%d rows shorter than %g s are left out of training.", num_short, config.min_duration_s)

    def __iter__(self) -> Iterator[Item]:
        return islice(self._items(), self.plan.rank, None, self.plan.world_size)

    def _items(self) -> Iterator[Item]:
        """All batches of all processes, from the one after `start`."""
        start = self.plan.start
        first, skipped = (start.epoch, start.batch + 1) if start else (0, 0)
        epoch = first
        while self.plan.train or epoch == 0:
            batches = enumerate(self._epoch(epoch))
            for number, cuts in islice(batches, skipped if epoch == first else 0, None):
                yield Item(Position(epoch, number), cuts)
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[list[Cut]]:
        config = self.plan.config
        rng = random.Random(f"{self.plan.seed} {epoch}") if self.plan.train else None
        rows = self._rows(epoch)
        left_over: list[Cut] = []
        while pool := left_over + list(islice(rows, config.pool_size)):
            batches = pack(_arranged(pool, config.num_buckets, rng), config)
            upcoming = next(rows, None)
            # The last batch of a pool is rarely full: its rows wait for the next pool.
            left_over = batches.pop() if upcoming is not None else []
            rows = rows if upcoming is None else chain([upcoming], rows)
            if rng is not None:
                rng.shuffle(batches)
            yield from batches

    def _rows(self, epoch: int) -> Iterator[Cut]:
        config, seed = self.plan.config, self.plan.seed
        if not self.plan.train:
            yield from self.cuts
            return
        rows: Iterable[Cut] = (cut for cut in self.cuts if cut.duration >= config.min_duration_s)
        if config.balance:
            rows = balanced_rows(list(rows), config.balance, f"{seed} {epoch}")
        longest_s, speeds, uses = config.max_crop_s, config.speeds, Counter[str]()
        for cut in rows:
            draw = uses[cut.id]
            uses[cut.id] += 1  # a row that is drawn again is changed otherwise
            if speeds:
                cut = at_speed(cut, _random_of(cut, seed, epoch, draw, " speed").choice(speeds))
            yield cut if longest_s is None else crop(cut, longest_s, seed, epoch, draw)


def pack(cuts: Iterable[Cut], config: LoaderConfig) -> list[list[Cut]]:
    """Rows in their order as batches that are as large as the configuration allows."""
    batches: list[list[Cut]] = []
    longest_s = 0.0
    for cut in cuts:
        longest_s = max(longest_s, cut.duration)
        if batches and config.fits(len(batches[-1]) + 1, longest_s):
            batches[-1].append(cut)
        else:
            batches.append([cut])
            longest_s = cut.duration
    return batches


def balanced_rows(rows: Sequence[Cut], field: str, seed: str) -> list[Cut]:
    """As many rows, of which every value of `field` has the same share (but for one row), drawn with `seed`.

    A row comes again only when all others of its value were drawn as often. Raises ManifestError for a row without one.
    """
    groups: dict[str, list[Cut]] = defaultdict(list)
    for cut in rows:
        value = read_field(cut, field)
        if value is None:
            raise ManifestError(
                f"Row {cut.id} has nothing in the field {field!r}, by which data.balance wants to draw; fill it in, or "
                f"leave data.balance out."
            )
        groups[value].append(cut)
    rng = random.Random(f"{seed} {field}")
    values = sorted(groups)
    rng.shuffle(values)  # those that come first get the odd rows
    shares = {value: len(rows) // len(values) + (place < len(rows) % len(values)) for place, value in enumerate(values)}
    drawn: list[Cut] = []
    for value in values:
        members, wanted = groups[value], shares[value]
        while wanted > 0:
            drawn += rng.sample(members, min(wanted, len(members)))
            wanted -= len(members)
    return drawn


def crop(cut: Cut, longest_s: float, seed: int, epoch: int, draw: int = 0) -> Cut:
    """The row itself, or a part of it, by the seed, the epoch, the row's id and the draw alone.

    cut: the row.
    longest_s: how long the part lasts. Rows that last no longer stay as they are.
    seed: of the run.
    epoch: which one, from 0.
    draw: how often the epoch had the row before.
    """
    rate = cut.sampling_rate
    kept = round(longest_s * rate)
    if cut.num_samples <= kept:
        return cut
    first = _random_of(cut, seed, epoch, draw).randrange(cut.num_samples - kept + 1)
    return cut.truncate(offset=first / rate, duration=kept / rate, preserve_id=True)


def at_speed(cut: Cut, speed: float) -> Cut:
    """The row played `speed` times as fast, under its old id."""
    return cut if speed == 1 else cut.perturb_speed(speed, affix_id=False)


def _random_of(cut: Cut, seed: int, epoch: int, draw: int, what: str = "") -> random.Random:
    """A generator of its own for what is drawn of a row.

    cut: the row.
    seed: of the run.
    epoch: which one.
    draw: how often the epoch had the row before.
    what: is drawn, '' for a crop.
    """
    return random.Random(f"{seed} {epoch} {cut.id}" + (f" {draw}" if draw else "") + what)


def _arranged(pool: list[Cut], num_buckets: Count, rng: random.Random | None) -> list[Cut]:
    """Rows so that neighbours last about the same.

    Without `rng` from the longest to the shortest, which shows at once whether the memory suffices. With it in classes
    of equal size, in random order within each.
    """
    ordered = sorted(pool, key=lambda cut: (-cut.duration, cut.id))
    if rng is None:
        return ordered
    size = -(-len(ordered) // num_buckets)
    classes = [ordered[first : first + size] for first in range(0, len(ordered), size)]
    for members in classes:
        rng.shuffle(members)
    return [cut for members in classes for cut in members]


def _check_rows(cuts: Iterable[Cut], plan: StreamPlan) -> int:
    """How many rows are left out. Raises ManifestError for what would otherwise stop a run in the middle."""
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
                f"Row {cut.id} ({path_of(cut)}) lasts {least_s:g} s{_at(fastest)}, too short for this encoder, which "
                f"needs {plan.shortest_s:g} s; leave it out, or set the loader's min_duration_s in training."
            )
        if not config.fits(1, min(most_s, config.max_crop_s or most_s) if train else most_s):
            raise ManifestError(
                f"Row {cut.id} ({path_of(cut)}) lasts {most_s:g} s{_at(slowest)}, longer than max_duration_s="
                f"{config.max_duration_s:g}; raise that, set max_crop_s in training, or cut the recording into parts."
            )
    if not seen:
        raise ManifestError("No row of the manifest is left to load; check it, and the loader's min_duration_s.")
    return num_short


def _at(speed: float) -> str:
    return "" if speed == 1 else f" at speed {speed:g}"
