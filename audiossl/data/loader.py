"""From manifest rows to batches: a stream that many processes share, that resumes exactly and that pads little.

Every process walks the same stream of batches (rows only, no sound) and reads the sound of its share of them. Two
processes therefore consume exactly what one consumes with two batches a step, and a run can go on with another number
of processes.

Batches are packed here rather than by lhotse's dynamic samplers because those stop one row too late (a long row after
short ones exceeds max_duration), choose the same sequence of buckets in every epoch, and leave a partial batch in
every bucket, which is most of the batches of a small corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset

from audiossl.core.errors import AudioError, AudiosslError
from audiossl.core.types import Batch, Position
from audiossl.data.reading import path_of, read_cut
from audiossl.data.stream import (
    Item,
    LoaderConfig,
    make_stream,
)

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def collate(
    cuts: Sequence[Cut], sample_rate_hz: int, *, min_samples: int = 1, position: Position | None = None
) -> Batch:
    """Read the rows' sound and pad it with zeros to the longest: wavs (B, S), lengths (B,).

    Raises AudioError, also for a row with fewer than `min_samples` at `sample_rate_hz`.
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


def make_loader(
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
) -> DataLoader[Batch]:
    """A loader of `Batch`es that are ready for the network, for one process of `world_size`.

    train: endless and shuffled; else one pass in a fixed order, in which each row occurs exactly once.
    min_samples: the shortest row that the network can use, at `sample_rate_hz`.
    Raises ManifestError at once for rows that cannot be used, AudioError for sound that cannot when it is read.
    """
    stream = make_stream(
        cuts,
        config,
        sample_rate_hz=sample_rate_hz,
        seed=seed,
        train=train,
        rank=rank,
        world_size=world_size,
        start=start,
        min_samples=min_samples,
    )
    workers: dict[str, Any] = {}
    if config.num_workers:
        workers = {"num_workers": config.num_workers, "persistent_workers": train, "prefetch_factor": 4}
    return _Loader(
        _Reader(sample_rate_hz, min_samples),
        sampler=stream,
        batch_size=None,
        pin_memory=torch.cuda.is_available(),
        **workers,
    )


class _Reader(Dataset[Any]):
    """Reads one batch of the stream. The stream itself stays in the main process, so the order never depends on
    the number of workers."""

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
