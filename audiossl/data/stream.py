"""TODO."""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from torch.utils.data import Sampler

from audiossl.core.errors import ConfigError, ManifestError
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

    batch_size: int | None = 32
    """Most rows in a batch. Null for no such limit, which needs max_duration_s."""
    max_duration_s: float | None = None
    """Most seconds in a batch with its padding, which is the rows times the longest. Null for no such limit, which
    needs batch_size."""
    num_buckets: int = 10
    """In training, into how many classes of duration rows are grouped, so that little is padding. 1 for no grouping."""
    pool_size: int = 20000
    """Rows held in memory, within which they are shuffled and grouped."""
    min_duration_s: float = 0.0
    """In training, shorter rows are left out and counted in the log. 0 leaves out none."""
    max_crop_s: float | None = None
    """In training, longer rows are cut to a random part of this length. Null for whole rows."""
    balance: str = ""
    """In training, a field of the rows ('speaker', 'label', ...) of which every value is drawn equally often, as many
    rows in an epoch as there are. Empty for each row once."""
    speeds: list[float] = field(default_factory=list)
    """In training, each row is played at one of these speeds, drawn anew in every epoch, [0.9, 1.0, 1.1] for instance.
    Pitch changes with it (speed perturbation, Ko et al., 2015). Empty for none."""
    num_workers: int = 0
    """Processes that read sound ahead. 0 for none."""

    def __post_init__(self) -> None:
        if self.batch_size is None and self.max_duration_s is None:
            raise ConfigError("The loader needs batch_size, max_duration_s or both; set batch_size=32, for instance.")
        for name in ("batch_size", "max_duration_s", "num_buckets", "pool_size", "max_crop_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"The loader's {name}={value} must be above zero.")
        for name in ("min_duration_s", "num_workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"The loader's {name}={getattr(self, name)} must not be negative.")
        if any(not 0.5 <= speed <= 2 for speed in self.speeds):
            raise ConfigError(f"The loader's speeds={self.speeds} must be from 0.5 to 2, as in [0.9, 1.0, 1.1].")

    def fits(self, num_rows: int, longest_s: float) -> bool:
        """Whether that many rows, the longest of which lasts `longest_s`, may be one batch."""
        too_many = self.batch_size is not None and num_rows > self.batch_size
        return not too_many and (self.max_duration_s is None or num_rows * longest_s <= self.max_duration_s)


class Item(NamedTuple):
    """One batch before its sound is read."""

    position: Position
    cuts: list[Cut]


class BatchStream(Sampler[Item]):
    """The batches of one process as (Position, rows); endless where `shuffle`, else every row exactly once.

    A batch's Position is the same in every process and for every number of processes: process `rank` gets the batches
    whose running number since `start` (whatever epoch they are in) is `rank` modulo `world_size`. With `start`, the
    stream goes on after that position, as if it had never stopped: give the *last* position of the last step, over all
    processes (positions compare like tuples). Rows are all that is read to get there.
    Raises ManifestError if no row is left, for an id that occurs twice and for a row that no batch can hold.
    """

    def __init__(
        self,
        cuts: CutSet,
        config: LoaderConfig,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start: Position | None = None,
        shuffle: bool = True,
        shortest_s: float = 0.0,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank={rank} must be from 0 to world_size - 1 = {world_size - 1}.")
        self.config, self.seed, self.shuffle = config, seed, shuffle
        self.rank, self.world_size, self.start = rank, world_size, start
        # What fits into the pool is read from its file once, not in every epoch.
        balanced = shuffle and bool(config.balance)  # which needs to know all rows
        held = list(cuts if balanced else islice(cuts, config.pool_size + 1))
        self.cuts: Iterable[Cut] = held if balanced or len(held) <= config.pool_size else cuts
        num_short = _check_rows(self.cuts, config, shortest_s, train=shuffle)
        if num_short:
            _log.warning("%d rows shorter than %g s are left out of training.", num_short, config.min_duration_s)

    def __iter__(self) -> Iterator[Item]:
        return islice(self._items(), self.rank, None, self.world_size)

    def _items(self) -> Iterator[Item]:
        """All batches of all processes, from the one after `start`."""
        first, skipped = (self.start.epoch, self.start.batch + 1) if self.start else (0, 0)
        epoch = first
        while self.shuffle or epoch == 0:
            batches = enumerate(self._epoch(epoch))
            for number, cuts in islice(batches, skipped if epoch == first else 0, None):
                yield Item(Position(epoch, number), cuts)
            epoch += 1

    def _epoch(self, epoch: int) -> Iterator[list[Cut]]:
        rng = random.Random(f"{self.seed} {epoch}") if self.shuffle else None
        rows = self._rows(epoch)
        left_over: list[Cut] = []
        while pool := left_over + list(islice(rows, self.config.pool_size)):
            batches = pack(_arranged(pool, self.config.num_buckets, rng), self.config)
            upcoming = next(rows, None)
            # The last batch of a pool is rarely full: its rows wait for the next pool.
            left_over = batches.pop() if upcoming is not None else []
            rows = rows if upcoming is None else chain([upcoming], rows)
            if rng is not None:
                rng.shuffle(batches)
            yield from batches

    def _rows(self, epoch: int) -> Iterator[Cut]:
        if not self.shuffle:
            yield from self.cuts
            return
        rows: Iterable[Cut] = (cut for cut in self.cuts if cut.duration >= self.config.min_duration_s)
        if self.config.balance:
            rows = balanced_rows(list(rows), self.config.balance, f"{self.seed} {epoch}")
        longest_s, speeds, uses = self.config.max_crop_s, self.config.speeds, Counter[str]()
        for cut in rows:
            draw = uses[cut.id]
            uses[cut.id] += 1  # a row that is drawn again is changed otherwise
            if speeds:
                cut = at_speed(cut, _random_of(cut, self.seed, epoch, draw, " speed").choice(speeds))
            yield cut if longest_s is None else crop(cut, longest_s, self.seed, epoch, draw)


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
    """The row itself, or a part of it that lasts `longest_s` and depends on (seed, epoch, the row's id, draw) alone."""
    rate = cut.sampling_rate
    kept = round(longest_s * rate)
    if cut.num_samples <= kept:
        return cut
    first = _random_of(cut, seed, epoch, draw).randrange(cut.num_samples - kept + 1)
    return cut.truncate(offset=first / rate, duration=kept / rate, preserve_id=True)


def at_speed(cut: Cut, speed: float) -> Cut:
    """The row played `speed` times as fast; its id stays."""
    return cut if speed == 1 else cut.perturb_speed(speed, affix_id=False)


def _random_of(cut: Cut, seed: int, epoch: int, draw: int, what: str = "") -> random.Random:
    """A generator of its own for the use number `draw` of a row in an epoch."""
    return random.Random(f"{seed} {epoch} {cut.id}" + (f" {draw}" if draw else "") + what)


def make_stream(
    cuts: CutSet,
    config: LoaderConfig,
    *,
    sample_rate_hz: int,
    seed: int,
    train: bool,
    rank: int = 0,
    world_size: int = 1,
    start: Position | None = None,
    min_samples: int = 1,
) -> BatchStream:
    """The rows of the batches that `make_loader` gives with the same arguments."""
    shortest_s = (min_samples - 0.5) / sample_rate_hz  # resampling rounds to the nearest sample
    if train and config.max_crop_s is not None and config.max_crop_s < shortest_s:
        raise ConfigError(
            f"The loader's max_crop_s={config.max_crop_s:g} is below the {min_samples} samples at {sample_rate_hz} Hz "
            f"that are needed; set at least {min_samples / sample_rate_hz:g}."
        )
    return BatchStream(
        cuts, config, seed=seed, rank=rank, world_size=world_size, start=start, shuffle=train, shortest_s=shortest_s
    )


def _arranged(pool: list[Cut], num_buckets: int, rng: random.Random | None) -> list[Cut]:
    """Rows so that neighbours last about the same: without `rng` from the longest to the shortest, which shows at once
    whether the memory suffices; with it in classes of equal size, in random order within each."""
    ordered = sorted(pool, key=lambda cut: (-cut.duration, cut.id))
    if rng is None:
        return ordered
    size = -(-len(ordered) // num_buckets)
    classes = [ordered[first : first + size] for first in range(0, len(ordered), size)]
    for members in classes:
        rng.shuffle(members)
    return [cut for members in classes for cut in members]


def _check_rows(cuts: Iterable[Cut], config: LoaderConfig, shortest_s: float, *, train: bool) -> int:
    """Raise ManifestError for what would otherwise stop a run in the middle; return how many rows are left out."""
    seen: set[str] = set()
    num_short = 0
    slowest, fastest = (min(config.speeds), max(config.speeds)) if train and config.speeds else (1.0, 1.0)
    for cut in cuts:
        if train and cut.duration < config.min_duration_s:
            num_short += 1
            continue
        if cut.id in seen:
            raise ManifestError(f"The manifest has two rows with the id {cut.id}; ids must be unique: make it again.")
        seen.add(cut.id)
        least_s, most_s = cut.duration / fastest, cut.duration / slowest
        if least_s < shortest_s:
            raise ManifestError(
                f"Row {cut.id} ({path_of(cut)}) lasts {least_s:g} s{_at(fastest)}, too short for this encoder, which "
                f"needs {shortest_s:g} s; leave it out, or set the loader's min_duration_s in training."
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
