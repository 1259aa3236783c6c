"""From manifest rows to batches of sound: what `audiossl.data.stream` puts in order is read here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset

from audiossl.core.errors import AudioError, AudiosslError, ManifestError
from audiossl.core.types import Batch, Position
from audiossl.data.reading import path_of, read_cut
from audiossl.data.stream import BatchStream, Item, StreamPlan

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def collate(
    cuts: Sequence[Cut], sample_rate_hz: int, *, min_samples: int = 1, position: Position | None = None
) -> Batch:
    """A batch of B rows: their sound, padded with zeros to the longest, as wavs (B, S) and lengths (B,).

    cuts: the rows.
    sample_rate_hz: of the sound in the batch.
    min_samples: the least that a row must have at that rate.
    position: of the batch in the stream.
    Raises AudioError for sound that cannot be read, or is too short.
    """
    sounds = [torch.from_numpy(read_cut(cut, sample_rate_hz)) for cut in cuts]
    for cut, sound in zip(cuts, sounds, strict=True):
        if len(sound) < min_samples:
            raise AudioError(
                f"{path_of(cut) or cut.id} is too short: row {cut.id} has {len(sound)} samples at {sample_rate_hz} Hz, "
                f"and {min_samples} are needed; leave it out, or set the loader's min_duration_s in training."
            )
    lengths = torch.tensor([len(sound) for sound in sounds], dtype=torch.int64)
    wavs = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)  # (B, S)
    return Batch(wavs, lengths, tuple(cuts), position)


def make_loader(cuts: CutSet, plan: StreamPlan) -> DataLoader[Batch]:
    """A loader of `Batch`es that are ready for the network, for the process that `plan` is for.

    Raises ManifestError at once for rows that cannot be used, AudioError for sound that cannot when it is read.
    """
    check_longest(cuts, plan)
    workers: dict[str, Any] = {}
    if plan.config.num_workers:
        workers = {"num_workers": plan.config.num_workers, "persistent_workers": plan.train, "prefetch_factor": 4}
    return _Loader(
        _Reader(plan.sample_rate_hz, plan.min_samples),
        sampler=BatchStream(cuts, plan),
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
            f"is {first.id} ({path_of(first)}) with {first.duration:g} s; cut such recordings into parts, set "
            f"data.max_crop_s={most_s:g} in training, or let the states of a frozen encoder be kept (features=auto), "
            f"for which long recordings are encoded chunk by chunk."
        )


class _Reader(Dataset[Any]):
    """Reads one batch of the stream.

    The stream itself stays in the main process, so the order never depends on the number of workers.
    """

    def __init__(self, sample_rate_hz: int, min_samples: int) -> None:
        self.sample_rate_hz, self.min_samples = sample_rate_hz, min_samples

    def __getitem__(self, item: Item) -> Batch | AudiosslError:
        try:
            return collate(item.cuts, self.sample_rate_hz, min_samples=self.min_samples, position=item.position)
        except AudiosslError as error:
            return error  # raised by _Loader: torch would wrap it in the worker's traceback


class _Loader(DataLoader[Batch]):
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, AudiosslError):
                raise batch
            yield batch
