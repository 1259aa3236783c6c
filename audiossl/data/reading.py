"""Reading sound files: any segment, at the rate and in the layout that an encoder wants.

`audiossl.data.sound_file` decodes (only the part that is asked for) and soxr resamples. Everything that can be wrong
with a file is one AudioError that names the file and the way to mend it. Nothing is repaired silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import soxr

from audiossl.core.errors import AudioError
from audiossl.data.assembled import read_assembled
from audiossl.data.shard_members import ShardMember
from audiossl.data.sound_file import LEAST_SHARE, ROUNDING_S, Levels, SoundFile, Wave, opened, warn_once

if TYPE_CHECKING:
    from lhotse.cut import Cut


class AudioFacts(NamedTuple):
    """What is in a sound file."""

    num_samples: int
    sample_rate_hz: int
    num_channels: int


def audio_facts(path: str | Path) -> AudioFacts:
    """(num_samples, sample_rate_hz, num_channels), without decoding.

    They are the header's where it can be believed, else those of the frames and pages behind it.
    Raises AudioError for a file that is missing, empty, no sound file, or visibly cut off.
    """
    with opened(path) as file:
        return AudioFacts(file.num_samples, file.sample_rate_hz, file.num_channels)


def read_audio(
    path: str | Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate_hz: int = 16000,
    mono: bool = True,
    on_silence: Literal["allow", "error"] = "allow",
) -> Wave:
    """A recording, or a part of it, as (S,) float32.

    path: the sound file.
    start_s: where the part begins.
    duration_s: how long it lasts. None for to the end.
    sample_rate_hz: the rate of the result, resampled where the file has another.
    mono: whether channels are averaged. If not, a file with several is an error.
    on_silence: what to do with samples that are all exactly zero.
    Raises AudioError for a file that is missing, empty, unreadable or cut off, for a part outside it, for NaN or
    infinity in it, for samples far above full scale, and (with on_silence='error') for silence.
    """
    with opened(path) as file:
        rate, num_channels = file.sample_rate_hz, file.num_channels
        if not mono and num_channels > 1:
            raise AudioError(
                f"{path} has {num_channels} channels; read it with mono=True to average them, or write the channel "
                f"that you want to a file of its own."
            )
        # In samples of the file's own rate: what is read is exact, and only then resampled.
        start = round(start_s * rate)
        wanted = file.num_samples - start if duration_s is None else round(duration_s * rate)
        samples = _mean(file.part(start, wanted), path)
    # Only exact zeros count: a quiet recording is none of our business, a dead channel is.
    if on_silence == "error" and not samples.any():
        raise AudioError(f"{path} is silent: every sample is zero; leave it out, or record it again.")
    return resample(samples, rate, sample_rate_hz)


def read_cut(cut: Cut, sample_rate_hz: int) -> Wave:
    """The sound of a manifest row as (S,) float32 in [-1, 1] at `sample_rate_hz`.

    Exactly `cut.num_samples` are read at the file's own rate, or fewer where the file ends up to `ROUNDING_S` before
    the row, of which one line tells. A recording that lists one channel is the mean of its file's channels. One that
    lists several gives the channel of the row. Rows that lhotse itself has mixed, perturbed or put together of several
    files are left to lhotse, which reads their files in the same way. Raises AudioError.
    """
    path = path_of(cut)
    if path is None:
        return resample(_mean(read_assembled(cut), cut.id), cut.sampling_rate, sample_rate_hz)
    start, wanted = _segment(cut)
    with _file_of(cut) as file:
        frames = file.part(start, wanted, lenient=True)
    return resample(_of_channel(frames, cut), cut.recording.sampling_rate, sample_rate_hz)


def channel_blocks(cut: Cut, block_s: float = 30.0) -> Iterator[Wave]:
    """(s, channels) of a row's one file at its own rate, in parts of about `block_s`, of which one is in memory.

    Raises AudioError.
    """
    start, wanted = _segment(cut)
    block = max(1, round(block_s * cut.recording.sampling_rate))
    with _file_of(cut) as file:
        wanted = _available(file, start, wanted)
        for first in range(0, max(wanted, 1), block):
            yield file.part(start + first, min(block, wanted - first))


def cut_blocks(cut: Cut, sample_rate_hz: int, block_s: float = 30.0) -> Iterator[Wave]:
    """What `read_cut` gives, in parts of about `block_s`, of which one at a time is in memory.

    For rows that are read from one file (see `path_of`). Raises AudioError.
    """
    rate, left = cut.recording.sampling_rate, num_samples_held(cut, sample_rate_hz)
    stream = soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32", quality="HQ")
    blocks = channel_blocks(cut, block_s)
    block: Wave | None = next(blocks)
    while block is not None:
        samples, block = _of_channel(block, cut), next(blocks, None)
        if rate != sample_rate_hz:
            samples = stream.resample_chunk(samples, last=block is None)[:left]
        left -= len(samples)
        yield np.pad(samples, (0, left)) if block is None and left else samples


def num_samples_of(cut: Cut, sample_rate_hz: int) -> int:
    """How many samples a row of one recording says that `read_cut` gives. Nothing is opened."""
    rate = cut.recording.sampling_rate
    return _num_resampled(_segment(cut)[1], rate, sample_rate_hz)


def num_samples_held(cut: Cut, sample_rate_hz: int) -> int:
    """How many samples `read_cut` gives for a row of one file, which is opened. Raises AudioError."""
    with _file_of(cut) as file:
        return _num_resampled(_available(file, *_segment(cut)), file.sample_rate_hz, sample_rate_hz)


def _segment(cut: Cut) -> tuple[int, int]:
    """First sample and number of samples, at the file's own rate."""
    rate = cut.recording.sampling_rate
    return round(cut.start * rate), round(cut.duration * rate)


def _available(file: SoundFile, start: int, wanted: int) -> int:
    """How much of a row its file has: a row may end up to `ROUNDING_S` after it."""
    beyond = start + wanted - file.num_samples
    return wanted - beyond if 0 < beyond <= ROUNDING_S * file.sample_rate_hz and beyond < wanted else wanted


@contextmanager
def _file_of(cut: Cut) -> Iterator[SoundFile]:
    """The one file of a row, open. Raises AudioError for one with another rate than the row has."""
    path, rate = path_of(cut), cut.recording.sampling_rate
    assert path is not None
    with opened(path) as file:
        if file.sample_rate_hz != rate:
            raise AudioError(
                f"{place_of(cut)} is sampled at {file.sample_rate_hz} Hz, but its manifest row {cut.id} says {rate} "
                f"Hz; make the manifest again from the files as they are."
            )
        yield file


def _of_channel(frames: Wave, cut: Cut) -> Wave:
    """(S, channels) -> (S,): the row's channel, or their mean. Raises AudioError for a channel that is not there."""
    column = channel_of(cut, frames.shape[1])
    return _mean(frames, place_of(cut)) if column is None else frames[:, column]


def channel_of(cut: Cut, num_channels: int) -> int | None:
    """The channel of its file that a row is of. None for the mean of all.

    cut: a row that is read from one file.
    num_channels: of the file.
    Raises AudioError for a channel that the row's recording, or the file, has not.
    """
    channels, wanted = cut.recording.channel_ids or [0], cut.channel
    if len(channels) > 1 and num_channels != len(channels):
        raise AudioError(
            f"{place_of(cut)} has {num_channels} channel(s), and its manifest row {cut.id} lists {len(channels)}; make "
            f"the manifest again from the files as they are."
        )
    if isinstance(wanted, int) and wanted not in channels:
        raise AudioError(
            f"The manifest row {cut.id} is of channel {wanted}, and its recording lists {channels}; correct the row."
        )
    return channels.index(wanted) if isinstance(wanted, int) and len(channels) > 1 else None


def path_of(cut: Cut) -> str | None:
    """The one plain sound file that a manifest row is read from. None for a row that lhotse has to put together."""
    recording = getattr(cut, "recording", None)
    if recording is None or recording.transforms or len(recording.sources) != 1:
        return None
    source = recording.sources[0]
    return str(source.source) if source.type == "file" else None


def place_of(cut: Cut) -> str:
    """What messages call the sound of a row: its file, its member of a shard, or its own id."""
    path = path_of(cut)
    member = None if path is None else ShardMember.parse(path)
    return f"{member.name} in {member.tar}" if member else path or str(cut.id)


def resample(samples: Wave, from_hz: int, to_hz: int) -> Wave:
    """(S,) at one rate to (S * to_hz / from_hz, rounded,) at another."""
    if from_hz == to_hz:
        return samples
    changed = soxr.resample(samples, from_hz, to_hz, quality="HQ")
    expected = _num_resampled(len(samples), from_hz, to_hz)  # soxr rounds the same length up or down
    changed = np.pad(changed, (0, max(0, expected - len(changed))))[:expected]
    return np.ascontiguousarray(changed, dtype=np.float32)


def _num_resampled(num_samples: int, from_hz: int, to_hz: int) -> int:
    return (2 * num_samples * to_hz + from_hz) // (2 * from_hz)


def _mean(frames: Wave, name: str | Path) -> Wave:
    """(S, channels) -> (S,). One line tells of channels that cancel in it."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    if (kept := Levels().add(frames).share_kept) < LEAST_SHARE:
        warn_once("cancelling channels", f"{name} has channels that cancel: their mean has {kept:.2g} of their power")
    mean: Wave = frames.mean(axis=1, dtype=np.float32)
    return mean
