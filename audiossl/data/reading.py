"""Reading sound files: any segment, at the rate and in the layout that an encoder wants.

soundfile decodes (only the part that is asked for) and soxr resamples. Everything that can be wrong with a file is one
AudioError that names the file and the way to mend it. Nothing is repaired silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from audiossl.core.errors import AudioError, first_line

if TYPE_CHECKING:
    from lhotse.cut import Cut

Wave = npt.NDArray[np.float32]

# libsndfile mends a data chunk that ends before its announced size and says so only in its log.
_CUT_OFF = re.compile(r"^\s*(?:data|SSND|riff) : (\d+) \(should be (\d+)\)", re.MULTILINE)
# An Ogg file says nowhere how long it is; its last page alone tells whether it is whole.
_NO_LAST_PAGE = "Last page lacks an end-of-stream bit"
# Sizes at and above this mark a stream whose writer could not go back to fill them in: not a cut-off file.
_STREAMED = 0x7FFF0000
# Some writers count the header in the announced size.
_SLOPPY_BYTES = 64


class AudioFacts(NamedTuple):
    """What the header of a sound file says."""

    num_samples: int
    sample_rate_hz: int
    num_channels: int


def audio_facts(path: str | Path) -> AudioFacts:
    """(num_samples, sample_rate_hz, num_channels) from the header alone.

    Raises AudioError for a file that is missing, empty, no sound file, or visibly cut off.
    """
    with _opened(path) as file:
        return AudioFacts(file.frames, file.samplerate, file.channels)


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
    infinity in it, and (with on_silence='error') for silence.
    """
    with _opened(path) as file:
        rate, num_channels = file.samplerate, file.channels
        if not mono and num_channels > 1:
            raise AudioError(
                f"{path} has {num_channels} channels; read it with mono=True to average them, or write the channel "
                f"that you want to a file of its own."
            )
        # In samples of the file's own rate: what is read is exact, and only then resampled.
        start = round(start_s * rate)
        wanted = file.frames - start if duration_s is None else round(duration_s * rate)
        samples = _mean(_frames(file, path, start, wanted))
    # Only exact zeros count: a quiet recording is none of our business, a dead channel is.
    if on_silence == "error" and not samples.any():
        raise AudioError(f"{path} is silent: every sample is zero; leave it out, or record it again.")
    return resample(samples, rate, sample_rate_hz)


def read_cut(cut: Cut, sample_rate_hz: int) -> Wave:
    """The sound of a manifest row as (S,) float32 in [-1, 1] at `sample_rate_hz`.

    Exactly `cut.num_samples` are read at the file's own rate. A recording that lists one channel is the mean of its
    file's channels. One that lists several gives the channel of the row. Rows that lhotse itself has mixed,
    perturbed or stored elsewhere than in a file are left to lhotse. Raises AudioError.
    """
    path = path_of(cut)
    if path is None:
        return _read_through_lhotse(cut, sample_rate_hz)
    start, wanted = _segment(cut)
    with _opened(path) as file:
        _check_rate(file, path, cut)
        frames = _frames(file, path, start, wanted)
    return resample(_of_channel(frames, cut), cut.recording.sampling_rate, sample_rate_hz)


def cut_blocks(cut: Cut, sample_rate_hz: int, block_s: float = 30.0) -> Iterator[Wave]:
    """What `read_cut` gives, in parts of about `block_s`, of which one at a time is in memory.

    For rows that are read from one file (see `path_of`). Raises AudioError.
    """
    path, rate = path_of(cut), cut.recording.sampling_rate
    assert path is not None
    start, wanted = _segment(cut)
    stream = soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32", quality="HQ")
    left, block = num_samples_of(cut, sample_rate_hz), max(1, round(block_s * rate))
    with _opened(path) as file:
        _check_rate(file, path, cut)
        for first in range(0, wanted, block):
            count = min(block, wanted - first)
            samples = _of_channel(_frames(file, path, start + first, count), cut)
            last = first + count == wanted
            if rate != sample_rate_hz:
                samples = stream.resample_chunk(samples, last=last)[:left]
            left -= len(samples)
            yield np.pad(samples, (0, left)) if last and left else samples


def num_samples_of(cut: Cut, sample_rate_hz: int) -> int:
    """How many samples `read_cut` gives for a row of one recording. Nothing is opened."""
    rate = cut.recording.sampling_rate
    return _num_resampled(_segment(cut)[1], rate, sample_rate_hz)


def _segment(cut: Cut) -> tuple[int, int]:
    """First sample and number of samples, at the file's own rate."""
    rate = cut.recording.sampling_rate
    return round(cut.start * rate), round(cut.duration * rate)


def _check_rate(file: Any, path: str, cut: Cut) -> None:
    rate = cut.recording.sampling_rate
    if file.samplerate != rate:
        raise AudioError(
            f"{path} is sampled at {file.samplerate} Hz, but its manifest row {cut.id} says {rate} Hz; make the "
            f"manifest again from the files as they are."
        )


def _of_channel(frames: Wave, cut: Cut) -> Wave:
    """(S, channels) -> (S,): the row's channel, or their mean."""
    channels = cut.recording.channel_ids or [0]
    one = isinstance(cut.channel, int) and len(channels) > 1 and frames.shape[1] == len(channels)
    return frames[:, channels.index(cut.channel)] if one else _mean(frames)


def path_of(cut: Cut) -> str | None:
    """The one plain sound file that a manifest row is read from. None for a row that lhotse has to put together."""
    recording = getattr(cut, "recording", None)
    if recording is None or recording.transforms or len(recording.sources) != 1:
        return None
    source = recording.sources[0]
    return str(source.source) if source.type == "file" else None


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


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    place = Path(path)
    if not place.is_file():
        what = "is a folder, not a sound file" if place.is_dir() else "is missing"
        raise AudioError(f"{path} {what}; correct the path in the manifest, or put the file there.")
    if place.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes); copy or download it again, or leave it out.")
    try:
        file = soundfile.SoundFile(str(place))
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless .raw wants its format
        reason = str(error).split(": ")[-1].rstrip(".")
        raise AudioError(f"{path} cannot be read as sound ({reason}); convert it to WAV or FLAC.") from error
    with file:
        _check_whole(file, path)
        yield file


def _check_whole(file: Any, path: str | Path) -> None:
    for found in _CUT_OFF.finditer(file.extra_info):
        announced, present = int(found[1]), int(found[2])
        if present + _SLOPPY_BYTES < announced < _STREAMED:
            raise AudioError(
                f"{path} is truncated: its header announces {announced} bytes of sound, {present} are there; copy or "
                f"download it again."
            )
    if _NO_LAST_PAGE in file.extra_info:
        raise AudioError(
            f"{path} is truncated: its last Ogg page is missing; copy or download it again, or, if its writer never "
            f"marks the last page, convert it to FLAC."
        )
    if file.frames == 0:
        raise AudioError(f"{path} is empty: it holds no samples; copy or download it again, or leave it out.")


def _frames(file: Any, path: str | Path, start: int, wanted: int) -> Wave:
    """A part of a file as (frames, channels), all finite.

    file: open for reading.
    path: of it, for messages.
    start: the first frame.
    wanted: how many frames.
    Raises AudioError for a part outside the file, for one that is cut off, and for NaN or infinity.
    """
    rate = file.samplerate
    if start < 0 or wanted <= 0 or start + wanted > file.frames:
        raise AudioError(
            f"{path} lasts {file.frames / rate:.3f} s, so the part from {start / rate:.3f} s to "
            f"{(start + wanted) / rate:.3f} s is outside it; correct start and end, or make the manifest again."
        )
    try:
        if file.tell() != start:  # seeking in a compressed file is not free
            file.seek(start)
        frames: Wave = file.read(wanted, dtype="float32", always_2d=True)
        reason = ""
    except soundfile.LibsndfileError as error:
        frames, reason = np.zeros((0, 1), np.float32), f" ({str(error).split(': ')[-1].rstrip('.')})"
    if len(frames) < wanted:
        raise AudioError(
            f"{path} is truncated or damaged: its header announces {file.frames} samples, but only {len(frames)} of "
            f"{wanted} could be read from sample {start}{reason}; copy or download it again."
        )
    if not np.isfinite(frames).all():
        bad = int(np.flatnonzero(~np.isfinite(frames).all(axis=1))[0])
        raise AudioError(
            f"{path} holds NaN or infinity (first at {(start + bad) / rate:.3f} s); write the file again, or leave it "
            f"out."
        )
    return frames


def _mean(frames: Wave) -> Wave:
    return frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)


def _read_through_lhotse(cut: Cut, sample_rate_hz: int) -> Wave:
    try:
        samples = np.atleast_2d(cut.load_audio())  # (channels, samples)
    except Exception as error:  # each kind of source has errors of its own
        raise AudioError(f"The manifest row {cut.id} cannot be read ({first_line(error)}).") from error
    if samples.shape[1] == 0 or not np.isfinite(samples).all():
        raise AudioError(f"The manifest row {cut.id} is empty, or holds NaN or infinity; leave it out.")
    return resample(_mean(np.ascontiguousarray(samples.T, dtype=np.float32)), cut.sampling_rate, sample_rate_hz)
