"""From manifest rows to batches of sound: what `audiossl.data.stream` puts in order is read here."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from audiossl.core.errors import AudioError, AudiosslError, ManifestError
from audiossl.core.types import Batch, Position
from audiossl.data.augmenting import CopyChange, NamedAugmentations
from audiossl.data.copies import drawn_by
from audiossl.data.paired import Beside, PairedStream
from audiossl.data.reading import place_of, read_cut
from audiossl.data.shard_members import PlaceError
from audiossl.data.sound_file import Wave
from audiossl.data.stream import BatchStream, Item, StreamPlan

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)
_MOST_EMPTY = 100  # batches on end of which nothing could be read


def collate(
    cuts: Sequence[Cut],
    sample_rate_hz: int,
    *,
    min_samples: int = 1,
    position: Position | None = None,
    change: Callable[[int, Wave], Wave] | None = None,
) -> Batch:
    """A batch of B rows: their sound, padded with zeros to the longest, as wavs (B, S) and lengths (B,).

    cuts: the rows.
    sample_rate_hz: of the sound in the batch.
    min_samples: the least that a row must have at that rate.
    position: of the batch in the stream.
    change: changes the sound of the row with a number, and not its length. None for sound as it is read.
    Raises AudioError for sound that cannot be read, or is too short.
    """
    read = [read_cut(cut, sample_rate_hz) for cut in cuts]
    changed = read if change is None else [change(number, sound) for number, sound in enumerate(read)]
    sounds = [torch.from_numpy(sound) for sound in changed]
    for cut, sound in zip(cuts, sounds, strict=True):
        if len(sound) < min_samples:
            raise AudioError(
                f"{place_of(cut)} is too short: row {cut.id} has {len(sound)} samples at {sample_rate_hz} Hz, "
                f"and {min_samples} are needed; leave it out, or set the loader's min_duration_s in training."
            )
    lengths = torch.tensor([len(sound) for sound in sounds], dtype=torch.int64)
    wavs = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)  # (B, S)
    return Batch(wavs, lengths, tuple(cuts), position)


def make_loader(
    cuts: CutSet, plan: StreamPlan, beside: Beside | None = None, *, change: CopyChange | None = None
) -> DataLoader[Batch]:
    """A loader of `Batch`es that are ready for the network, for the process that `plan` is for.

    cuts: the rows.
    plan: how they become batches.
    beside: in training, other rows, of which each batch has some beside it. None for none.
    change: changes the sound of marked copies outside training. None where there are none.
    Raises ManifestError at once for rows that cannot be used, AudioError for sound that cannot when it is read. In
    training with `skip_bad`, such sound is left out.
    """
    for rows in (cuts, *([beside.cuts] if beside else [])):
        check_longest(rows, plan)
    workers: dict[str, Any] = {}
    if plan.config.num_workers:
        workers = {"num_workers": plan.config.num_workers, "persistent_workers": plan.train, "prefetch_factor": 4}
    return _Loader(
        _Reader(cuts, plan, change),
        sampler=PairedStream(cuts, plan, beside) if beside else BatchStream(cuts, plan),
        batch_size=None,
        pin_memory=torch.cuda.is_available(),
        **workers,
    )


def check_longest(cuts: Iterable[Cut], plan: StreamPlan) -> None:
    """Raise ManifestError where rows are longer than who takes their sound can read. All of them are counted."""
    if plan.max_samples is None:
        return
    config, most_s = plan.config, plan.max_samples / plan.sample_rate_hz
    # In training, a row is played at its speed first and cropped then.
    slowest = min(config.speeds) if plan.train and config.speeds else 1.0
    most_kept_s = config.max_crop_s if plan.train and config.max_crop_s else math.inf
    num_rows, too_long = 0, []
    for cut in cuts:
        num_rows += 1
        if round(min(cut.duration / slowest, most_kept_s) * plan.sample_rate_hz) > plan.max_samples:
            too_long.append(cut)
    if too_long:
        first = too_long[0]
        raise ManifestError(
            f"{len(too_long)} of {num_rows} rows last longer than the {most_s:g} s that this encoder reads, the first "
            f"is {first.id} ({place_of(first)}) with {first.duration:g} s; cut such recordings into parts, set "
            f"data.max_crop_s={most_s:g} in training, or let the states of a frozen encoder be kept (features=auto), "
            f"for which long recordings are encoded chunk by chunk."
        )


def augmentations_of(cuts: Iterable[Cut], plan: StreamPlan) -> NamedAugmentations | None:
    """What changes the sound of training rows. None for nothing.

    cuts: the training rows.
    plan: of the stream.
    Raises ConfigError, AudioError and ManifestError for what cannot be used.
    """
    if not (plan.train and plan.config.augment):
        return None
    return NamedAugmentations(plan.config.augment, plan.sample_rate_hz, cuts)


class _Reading(NamedTuple):
    """What is read of one batch of the stream, and (id, why) of each row that is left out of it."""

    batch: Batch | None
    left_out: Sequence[tuple[str, str]] = ()


class _Reader(Dataset[Any]):
    """Reads one batch of the stream.

    The stream itself stays in the main process, so the order never depends on the number of workers.
    """

    def __init__(self, cuts: Iterable[Cut], plan: StreamPlan, change: CopyChange | None) -> None:
        self.sample_rate_hz, self.min_samples = plan.sample_rate_hz, plan.min_samples
        self.skip_bad = plan.train and plan.config.skip_bad
        self._change: Callable[[Item, int, Wave], Wave] | None = None
        if augmentations := augmentations_of(cuts, plan):
            self._change = partial(_augmented, augmentations, plan)
        elif change is not None:
            self._change = partial(_copied, change)

    def __getitem__(self, item: Item) -> _Reading | AudiosslError:
        reading = self._read(item)
        if item.beside is None or isinstance(reading, AudiosslError):
            return reading
        beside = self._read(item.beside)
        if isinstance(beside, AudiosslError):
            return beside
        batch = reading.batch and replace(reading.batch, beside=beside.batch)
        return _Reading(batch, [*reading.left_out, *beside.left_out])

    def _read(self, item: Item) -> _Reading | AudiosslError:
        try:
            return _Reading(self._batch(item))
        except AudiosslError as error:
            # Raised by _Loader: torch would wrap it in the worker's traceback.
            return self._without_bad(item) if self.skip_bad and _is_bad(error) else error

    def _batch(self, item: Item) -> Batch:
        return collate(
            item.cuts,
            self.sample_rate_hz,
            min_samples=self.min_samples,
            position=item.position,
            change=None if self._change is None else partial(self._change, item),
        )

    def _without_bad(self, item: Item) -> _Reading | AudiosslError:
        kept, left_out = [], []
        for cut, draw in zip(item.cuts, item.draws, strict=True):
            try:
                self._batch(Item(item.position, [cut], [draw]))
                kept.append((cut, draw))
            except AudiosslError as error:
                if not _is_bad(error):
                    return error
                left_out.append((cut.id, str(error)))
        if not kept:
            return _Reading(None, left_out)
        cuts, draws = zip(*kept, strict=True)
        return _Reading(self._batch(Item(item.position, list(cuts), draws)), left_out)


def _augmented(augment: NamedAugmentations, plan: StreamPlan, item: Item, number: int, sound: Wave) -> Wave:
    """The changed sound of the row with a number in a batch."""
    return augment(sound, item.cuts[number], drawn_by(plan.seed, item.position.epoch, item.draws[number], plan.copies))


def _copied(change: CopyChange, item: Item, number: int, sound: Wave) -> Wave:
    return change(item.cuts[number], sound)


def _is_bad(error: AudiosslError) -> bool:
    """Whether it is the recording that cannot be read, and not the place where it should be."""
    return isinstance(error, AudioError) and not isinstance(error, PlaceError)


class _Loader(DataLoader[Batch]):
    """Batches as they were read. Each row that is left out is named once, and a batch without any is passed over."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        named: set[str] = set()
        num_empty = 0
        for reading in super().__iter__():
            if isinstance(reading, AudiosslError):
                raise reading
            assert isinstance(reading, _Reading)
            for name, why in reading.left_out:
                if name not in named:
                    _log.warning("Left out of training, row %s: %s", name, why)
                named.add(name)
            num_empty = 0 if reading.batch is not None else num_empty + 1
            if num_empty == _MOST_EMPTY:
                raise AudioError(
                    f"Of {num_empty} batches on end no recording can be read, and data.skip_bad leaves out all; see to "
                    f"the last of them: {reading.left_out[-1][1]}"
                )
            if reading.batch is not None:
                yield reading.batch
