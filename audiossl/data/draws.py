"""What is drawn in an epoch of training: the order of the rows, which come again, their speeds and their crops.

An epoch is a permutation of the whole manifest, or of some shards after others (`order`). Where rows are grouped by how
long they last, the grouping is noisy: of rows that last alike, chance alone decides which come together, and what the
manifest is sorted by (labels, speakers) is in no batch more than elsewhere. Everything follows from the seed, the
epoch and the row.
"""

from __future__ import annotations

import logging
import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import ManifestError
from audiossl.data.config import LoaderConfig
from audiossl.data.copies import DrawnBy, drawn_by, marked
from audiossl.data.fields import read_field
from audiossl.data.mixing import Composition, Group
from audiossl.data.reading import path_of
from audiossl.data.row_store import RowStore
from audiossl.data.shard_members import ShardMember

if TYPE_CHECKING:
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)
# A row is grouped as if it lasted up to so much (of its duration) less or more.
_NOISE = 0.05
# Fewer batches in a class of durations would have nearly the same rows in every epoch.
_BATCHES_IN_CLASS = 2
_SPEED = "drawn_speed"  # the custom field of a cut that says its speed


class Use(NamedTuple):
    """One use of a row in an epoch.

    row: its number.
    draw: how often the epoch had it before.
    lasts_s: how long it lasts as it is used.
    """

    row: int
    draw: int
    lasts_s: float


class EpochDraws:
    """All epochs of a manifest's rows. Two calls for the same epoch give the same.

    rows: those that are used in training.
    config: how they become batches.
    seed: of the run.
    copies: how many changed copies of each row come in turn. 0 for a new one in every epoch.
    Raises ManifestError for a row without the field to balance by, and for shares of what no row has.
    """

    def __init__(self, rows: Iterable[Cut], config: LoaderConfig, seed: int, copies: int = 0) -> None:
        self.config, self.seed, self.copies = config, seed, copies
        self._rows = RowStore(config.pool_size)
        self._durations_s, self._rates_hz = array("d"), array("L")
        self._ids: list[str] = []  # only where speeds are drawn by them
        self._numbers: dict[str, list[int]] = defaultdict(list)  # by the value to balance by
        self._composition = Composition(config.shares) if config.shares else None
        self._members: dict[Group, list[int]] = defaultdict(list)  # by the values to compose by
        self._shards = array("L")  # by their numbers, only where they say the order
        self._shard_numbers: dict[str, int] = {}
        left_out = 0
        for cut in rows:
            number = len(self._rows)
            if self._composition is not None:
                group = self._composition.group_of(cut)
                if group is None:
                    left_out += 1
                    continue
                self._members[group].append(number)
            self._add(cut)
            if config.balance:
                self._numbers[_value_of(cut, config.balance)].append(number)
        if self._composition is not None:
            self._composition.check(self._members)
            if left_out:
                _log.warning("%d rows that data.compose does not name are left out of training.", left_out)

    def _add(self, cut: Cut) -> None:
        self._rows.add(cut)
        self._durations_s.append(cut.duration)
        self._rates_hz.append(cut.sampling_rate)
        if self.config.speeds:
            self._ids.append(cut.id)
        if self.config.order == "shards":
            self._shards.append(self._shard_numbers.setdefault(_shard_of(cut), len(self._shard_numbers)))

    def __len__(self) -> int:
        return len(self._rows)

    def order(self, epoch: int) -> list[Use]:
        """The rows of an epoch, such that neighbours last about the same if there are buckets."""
        return [use for window in self.windows(epoch) for use in window]

    def windows(self, epoch: int) -> Iterator[list[Use]]:
        """The rows of an epoch in parts that follow each other: all at random, or those of some shards at a time."""
        drawn = self._drawn(epoch)
        if self.config.order == "random":
            yield arranged(drawn, self._num_classes(len(drawn)), random.Random(f"{self.seed} {epoch}"))
            return
        members: dict[int, list[Use]] = defaultdict(list)
        for use in drawn:
            members[self._shards[use.row]].append(use)
        shards = sorted(members)
        random.Random(f"{self.seed} {epoch} shards").shuffle(shards)
        for number, window in enumerate(in_windows(shards, self.config.window_shards)):
            uses = [use for shard in window for use in members[shard]]
            yield arranged(uses, self._num_classes(len(uses)), random.Random(f"{self.seed} {epoch} window {number}"))

    def _drawn(self, epoch: int) -> list[Use]:
        """The rows of an epoch in the order of the manifest, or as they are balanced or composed."""
        config, uses = self.config, Counter[int]()
        numbers: Sequence[int] = range(len(self))
        if config.balance:
            numbers = balanced(self._numbers, f"{self.seed} {epoch} {config.balance}")
        elif self._composition is not None:
            lasts_s = [self._as_used_s(number) for number in numbers]
            numbers = self._composition.drawn(self._members, lasts_s, f"{self.seed} {epoch} shares")
        again = bool(config.balance) or self._composition is not None
        drawn = []
        for number in numbers:
            draw = uses[number] if again else 0
            uses[number] += 1 if again else 0  # a row that is drawn again is changed otherwise
            drawn.append(Use(number, draw, self._lasts_s(number, epoch, draw)))
        return drawn

    def cut(self, use: Use, epoch: int) -> Cut:
        """A row as it is used in an epoch: played at its speed, and cropped."""
        by = drawn_by(self.seed, epoch, use.draw, self.copies)
        cut = as_used(self._rows[use.row], self.config, by)
        return marked(cut, by.epoch) if self.copies and self.config.augment else cut

    def _speed(self, row: int, epoch: int, draw: int) -> float:
        return _speed_of(self._ids[row], self.config, drawn_by(self.seed, epoch, draw, self.copies))

    def _lasts_s(self, row: int, epoch: int, draw: int) -> float:
        """How long `cut` will last, without making it."""
        if not self.config.speeds:
            return self._as_used_s(row)
        from lhotse.utils import perturb_num_samples

        rate = self._rates_hz[row]
        lasts_s = perturb_num_samples(round(self._durations_s[row] * rate), self._speed(row, epoch, draw)) / rate
        return self._cropped_s(lasts_s, rate)

    def _as_used_s(self, row: int) -> float:
        """How long a row lasts at its own speed."""
        return self._cropped_s(self._durations_s[row], self._rates_hz[row])

    def _cropped_s(self, lasts_s: float, rate: int) -> float:
        longest_s = self.config.max_crop_s
        return lasts_s if longest_s is None else min(lasts_s, round(longest_s * rate) / rate)

    def _num_classes(self, num_rows: int) -> int:
        most = num_rows // (_BATCHES_IN_CLASS * (self.config.batch_size or 1))
        return max(1, min(self.config.num_buckets, most))


def arranged(uses: list[Use], num_classes: int, rng: random.Random) -> list[Use]:
    """Rows in random order, in classes of about equal size by how long they last, from the longest to the shortest.

    The class of a row is noisy. So are the edges of the classes, which begin anywhere.
    """
    if num_classes == 1:
        return rng.sample(uses, len(uses))
    noisy = sorted((-use.lasts_s * rng.uniform(1 - _NOISE, 1 + _NOISE), use) for use in uses)
    ordered = [use for _, use in noisy]
    size = -(-len(ordered) // num_classes)
    edges = [0, *range(rng.randint(1, size), len(ordered), size), len(ordered)]
    return [use for first, last in pairwise(edges) for use in rng.sample(ordered[first:last], last - first)]


def in_windows(shards: Sequence[int], most: int) -> list[Sequence[int]]:
    """Shards in parts of `most` at most, and of about equal size.

    >>> in_windows(range(9), 8)
    [range(0, 5), range(5, 9)]
    """
    count = -(-len(shards) // most)
    size, longer = divmod(len(shards), count or 1)
    edges = [0, *accumulate(size + (number < longer) for number in range(count))]
    return [shards[first:last] for first, last in pairwise(edges)]


def balanced(numbers: Mapping[str, Sequence[int]], seed: str) -> list[int]:
    """As many rows as there are, of which every value has the same share (but for one row), drawn with `seed`.

    A row comes again only when all others of its value were drawn as often.

    numbers: of the rows, by the value of the field to balance by.
    """
    rng = random.Random(seed)
    values = sorted(numbers)
    rng.shuffle(values)  # those that come first get the odd rows
    num_rows = sum(map(len, numbers.values()))
    drawn: list[int] = []
    for place, value in enumerate(values):
        members, wanted = numbers[value], num_rows // len(values) + (place < num_rows % len(values))
        while wanted > 0:
            drawn += rng.sample(members, min(wanted, len(members)))
            wanted -= len(members)
    return drawn


def as_used(cut: Cut, config: LoaderConfig, by: DrawnBy) -> Cut:
    """A row played at its speed, and cropped.

    cut: the row.
    config: the speeds, and how long a crop is.
    by: what decides what is drawn for it.
    """
    if config.speeds:
        cut = at_speed(cut, _speed_of(cut.id, config, by))
    return cut if config.max_crop_s is None else crop(cut, config.max_crop_s, *by)


def _speed_of(row: str, config: LoaderConfig, by: DrawnBy) -> float:
    return random_of(row, *by, " speed").choice(config.speeds)


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
    first = random_of(cut.id, seed, epoch, draw).randrange(cut.num_samples - kept + 1)
    return cut.truncate(offset=first / rate, duration=kept / rate, preserve_id=True)


def at_speed(cut: Cut, speed: float) -> Cut:
    """The row played `speed` times as fast, under its old id. `speed_of` says so of it."""
    if speed == 1:
        return cut
    played = cut.perturb_speed(speed, affix_id=False)
    played.custom = {**(cut.custom or {}), _SPEED: speed}
    return played


def speed_of(cut: Cut) -> float:
    """How many times as fast a row is played as its manifest has it."""
    return float((cut.custom or {}).get(_SPEED, 1.0))


def random_of(row: str, seed: int, epoch: int, draw: int, what: str = "") -> random.Random:
    """A generator of its own for what is drawn of a row.

    row: its id.
    seed: of the run.
    epoch: which one.
    draw: how often the epoch had the row before.
    what: is drawn, '' for a crop.
    """
    return random.Random(f"{seed} {epoch} {row}" + (f" {draw}" if draw else "") + what)


def _value_of(cut: Cut, field: str) -> str:
    value = read_field(cut, field)
    if value is None:
        raise ManifestError(
            f"Row {cut.id} has nothing in the field {field!r}, by which data.balance wants to draw; fill it in, or "
            f"leave data.balance out."
        )
    return value


def _shard_of(cut: Cut) -> str:
    path = path_of(cut)
    member = None if path is None else ShardMember.parse(path)
    if member is None:
        raise ManifestError(
            f"Row {cut.id} ({path}) is in no shard, and data.order=shards reads one shard after another; write shards "
            f"of the manifest with `audiossl data shards`, or leave data.order out."
        )
    return member.tar
