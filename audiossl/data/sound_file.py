"""One sound file, open for reading: all of its sound, or an AudioError that names the file and the way to mend it.

libsndfile decodes. Where it believes a header that is not true, the file is read stream by stream
(`audiossl.data.containers`), and where it cannot seek (GSM 6.10), what lies before is decoded and dropped. A file that
ends up to `ROUNDING_S` before what its header says is read as far as it goes, and one line says so.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from stat import S_ISDIR, S_ISREG
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import soundfile

from audiossl.core.errors import AudioError
from audiossl.data.containers import (
    FileSource,
    HeldFile,
    Part,
    PartReader,
    au_parts,
    marked_parts,
    mp3_parts,
    ogg_parts,
    open_source,
    unfinished_wav,
)
from audiossl.data.shard_members import ShardMember
from audiossl.data.video import decoded, format_of

Wave = npt.NDArray[np.float32]

# Tables and recorders round to milliseconds or centiseconds: an end this little beyond the sound is its end.
ROUNDING_S = 0.05
# Float files may go above full scale by some dB. Ten times (20 dB) is another unit, such as that of 16-bit integers.
LOUDEST = 10.0
# Of channels whose mean has less than this share of their power (-20 dB), most is lost in it.
LEAST_SHARE = 0.01

# libsndfile mends a data chunk that ends before its announced size and says so only in its log.
_CUT_OFF = re.compile(r"^\s*(?:data|SSND|riff) : (\d+) \(should be (\d+)\)", re.MULTILINE)
# An Ogg file says nowhere how long it is; its last page alone tells whether it is whole.
_NO_LAST_PAGE = "Last page lacks an end-of-stream bit"
# Sizes at and above this mark a stream whose writer could not go back to fill them in: not a cut-off file.
_STREAMED = 0x7FFF0000
# Some writers count the header in the announced size.
_SLOPPY_BYTES = 64
_DROPPED_AT_ONCE = 1 << 18  # samples
# Joined WAV and AIFF files are refused: their headers disagree with their size.
_MAY_BE_JOINED = ("MP3", "OGG", "FLAC", "CAF", "AU")

_log = logging.getLogger(__name__)
_warned: set[str] = set()


class _Layout(NamedTuple):
    """The streams by which a file is read, and the samples in each of them."""

    parts: tuple[Part, ...]
    counts: tuple[int, ...]


_WHOLE = _Layout((), ())  # as libsndfile reads it


class _Stream:
    """One handle of libsndfile that can read from any sample on."""

    def __init__(self, source: FileSource, part: Part | None = None) -> None:
        self._source: Any = source if part is None else PartReader(source, part)
        if isinstance(self._source, HeldFile):
            self._source = open_source(self._source)
        self.file: Any = soundfile.SoundFile(self._source)
        self._place = 0

    def read(self, start: int, count: int) -> Wave:
        """Frames (n, channels), fewer than `count` where the file ends before its header says."""
        if start != self._place:  # seeking in a compressed file is not free
            self._go_to(start)
        frames: Wave = self.file.read(count, dtype="float32", always_2d=True)
        self._place = start + len(frames)
        return frames

    def _go_to(self, start: int) -> None:
        if self.file.seekable():
            self.file.seek(start)
            return
        if start < self._place:
            self.file.close()
            if not isinstance(self._source, str):
                self._source.seek(0)
            self.file, self._place = soundfile.SoundFile(self._source), 0
        while self._place < start:
            dropped = len(self.file.read(min(_DROPPED_AT_ONCE, start - self._place), dtype="float32"))
            if not dropped:
                return
            self._place += dropped

    def close(self) -> None:
        self.file.close()
        if not isinstance(self._source, str):
            self._source.close()


class SoundFile:
    """A sound file, and how much sound there is in it.

    path: of the file, or what messages call it.
    num_samples: of each channel.
    sample_rate_hz: of the file.
    num_channels: of the file.
    form: what libsndfile calls its format.
    missing_s: by how much it ends before what its header says.
    """

    def __init__(self, path: str, streams: Sequence[_Stream], counts: Sequence[int], missing_s: float) -> None:
        file = streams[0].file
        self.path, self.missing_s = path, missing_s
        self.num_samples, self.sample_rate_hz, self.num_channels = sum(counts), file.samplerate, file.channels
        self.form: str = file.format
        self._streams, self._counts = streams, counts

    def part(self, start: int, count: int, *, lenient: bool = False) -> Wave:
        """A part as (frames, channels), all finite and within `LOUDEST`.

        start: the first frame.
        count: how many frames.
        lenient: whether a part may end up to `ROUNDING_S` after the sound, and is then shorter.
        Raises AudioError for a part outside the file, for one that is cut off, and for samples that are no sound.
        """
        rate = self.sample_rate_hz
        beyond = start + count - self.num_samples
        if lenient and 0 < beyond <= ROUNDING_S * rate and beyond < count:
            self._tell_of_early_end(beyond / rate)
            count -= beyond
        if start < 0 or count <= 0 or start + count > self.num_samples:
            raise AudioError(
                f"{self.path} lasts {self.num_samples / rate:.3f} s, so the part from {start / rate:.3f} s to "
                f"{(start + count) / rate:.3f} s is outside it; correct start and end, or make the manifest again."
            )
        frames = self._read(start, count)
        self._check_samples(frames, start)
        return frames

    def _read(self, start: int, count: int) -> Wave:
        found, reason, before = [], "", 0
        try:
            for stream, size in zip(self._streams, self._counts, strict=True):
                first, last = max(start - before, 0), min(start + count - before, size)
                if first < last:
                    found.append(stream.read(first, last - first))
                before += size
        except soundfile.LibsndfileError as error:
            reason = f" ({_reason(error)})"
        frames = found[0] if len(found) == 1 else np.concatenate(found or [np.zeros((0, 1), np.float32)])
        lost, rate = count - len(frames), self.sample_rate_hz
        # What the file holds goes before what its header says, at its end and by little.
        if 0 < lost <= ROUNDING_S * rate and lost < count and start + count == self.num_samples and not reason:
            self._tell_of_early_end(lost / rate)
        elif lost:
            raise AudioError(
                f"{self.path} is truncated or damaged: its header announces {self.num_samples} samples, but only "
                f"{len(frames)} of {count} could be read from sample {start}{reason}; copy or download it again."
            )
        return frames

    def _check_samples(self, frames: Wave, start: int) -> None:
        # One pass each: NaN goes through both, and infinity is one of them.
        low, high = (float(frames.min()), float(frames.max())) if frames.size else (0.0, 0.0)
        peak = max(-low, high)
        if peak <= LOUDEST:
            return
        if not np.isfinite(low) or not np.isfinite(high):
            bad = int(np.flatnonzero(~np.isfinite(frames).all(axis=1))[0])
            raise AudioError(
                f"{self.path} holds NaN or infinity (first at {(start + bad) / self.sample_rate_hz:.3f} s); write the "
                f"file again, or leave it out."
            )
        units = {2**15: "16-bit integers, so divide by 32768", 2**31: "32-bit integers, so divide by 2147483648"}
        cause = next((text for limit, text in units.items() if peak <= limit), "no sound")
        raise AudioError(
            f"{self.path} has samples up to {peak:.4g} where full scale is 1: they look like {cause}; write the file "
            f"again, or leave it out."
        )

    def _tell_of_early_end(self, seconds: float) -> None:
        warn_once("early end", f"{self.path} ends {1000 * seconds:.3g} ms early: what it holds is read")

    @classmethod
    def of(cls, source: FileSource, status: os.stat_result | None) -> Self:
        """The open file. status: of one that lies on a disk.

        Raises AudioError for one that is not whole, and what libsndfile raises."""
        path, whole = str(source), _Stream(source)
        try:
            missing_s, form, frames = _missing_s(whole.file, path), whole.file.format, whole.file.frames
            layout = _WHOLE
            if form in _MAY_BE_JOINED or frames == 0:
                layout = _layout_of(source, status, form, frames)
            if layout is _WHOLE and frames == 0:
                raise AudioError(f"{path} is empty: it holds no samples; copy or download it again, or leave it out.")
        except BaseException:
            whole.close()
            raise
        if layout is _WHOLE:
            return cls(path, [whole], [frames], missing_s)
        whole.close()
        return cls(path, [_Stream(source, part) for part in layout.parts], layout.counts, missing_s)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[SoundFile]:
    """A sound file, open: one of its own, or a member of a shard.

    Raises AudioError for one that is missing, empty, no sound file, visibly cut off or not what a shard is to hold.
    """
    name = os.fspath(path)
    member = ShardMember.parse(name)
    with held(member.read()) if member else _on_disk(name) as file:
        yield file


@contextmanager
def held(source: FileSource, status: os.stat_result | None = None) -> Iterator[SoundFile]:
    """A sound file that is in memory, open, or with `status` one on a disk. Raises AudioError."""
    try:
        file = SoundFile.of(source, status)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless .raw wants its format
        if (film := format_of(source)) is None:
            sentence = f"{source} cannot be read as sound ({_reason(error)}); convert it to WAV or FLAC."
            raise AudioError(sentence) from error
        file = SoundFile.of(decoded(source, film, _identity(status)), None)
    try:
        yield file
    finally:
        file.close()


@contextmanager
def _on_disk(path: str) -> Iterator[SoundFile]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        status = None
    if status is None or not S_ISREG(status.st_mode):
        what = "is a folder, not a sound file" if status is not None and S_ISDIR(status.st_mode) else "is missing"
        raise AudioError(f"{path} {what}; correct the path, or put the file there.")
    if status.st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes); copy or download it again, or leave it out.")
    with held(path, status) as file:
        yield file


def warn_once(kind: str, text: str) -> None:
    """Say once of each kind what is not as it should be. `audiossl data validate` names all files."""
    if kind not in _warned:
        _warned.add(kind)
        _log.warning("%s. Files like it are not named again; `audiossl data validate` lists them.", text)


class Levels:
    """How loud sound is that comes in blocks (s, channels).

    peak: the largest absolute sample.
    share_kept: the power of the mean of the channels over the mean of their powers, 1 for equal channels and 1 / C for
    C that have nothing in common.
    """

    def __init__(self) -> None:
        self.peak = self._power = self._kept = 0.0

    def add(self, frames: Wave) -> Self:
        self.peak = max(self.peak, -float(frames.min()), float(frames.max()))
        self._power += float(np.square(frames, dtype=np.float64).mean(axis=1).sum())
        self._kept += float(np.square(frames.mean(axis=1, dtype=np.float64)).sum())
        return self

    @property
    def share_kept(self) -> float:
        return self._kept / self._power if self._power else 1.0


def _layout_of(source: FileSource, status: os.stat_result | None, form: str, num_samples: int) -> _Layout:
    """How a file is to be read. That of one on a disk is looked up once."""
    if status is None or isinstance(source, HeldFile):
        return _layout(source, form, num_samples)
    # A file that was replaced is looked at again.
    return _kept_layout(source, _identity(status), form, num_samples)


def _identity(status: os.stat_result | None) -> tuple[int, ...]:
    return (status.st_size, status.st_mtime_ns, status.st_ino) if status else ()


@lru_cache(maxsize=100_000)
def _kept_layout(path: str, identity: tuple[int, ...], form: str, num_samples: int) -> _Layout:
    return _layout(path, form, num_samples)


def _layout(path: FileSource, form: str, num_samples: int) -> _Layout:
    """How a file is to be read.

    form: that libsndfile found.
    num_samples: that libsndfile holds it to have.
    Raises AudioError for streams of different rates or channels.
    """
    if form == "MP3":
        parts = mp3_parts(path, num_samples)
    elif form == "OGG":
        parts = ogg_parts(path)
    elif form in ("FLAC", "CAF"):
        parts = marked_parts(path, form)
    elif form == "AU":
        parts = au_parts(path)
    else:
        unfinished = unfinished_wav(path)
        parts = () if unfinished is None else (unfinished,)
        if parts:
            lost = parts[0].stop - parts[0].start
            warn_once(
                "no length", f"{path} says that it has 0 bytes of sound (a recorder was cut off): {lost} are read"
            )
    counts, kinds = [], set()
    for part in parts:
        stream = _Stream(path, part)
        counts.append(stream.file.frames)
        kinds.add((stream.file.samplerate, stream.file.channels))
        stream.close()
    if len(kinds) > 1:
        raise AudioError(
            f"{path} holds further streams after the first, of other rates or channels ("
            f"{', '.join(f'{rate} Hz x {channels}' for rate, channels in sorted(kinds))}); write each to its own file."
        )
    return _Layout(parts, tuple(counts)) if parts else _WHOLE


def _missing_s(file: Any, path: str) -> float:
    """By how much a file ends before what its header says. Raises AudioError where that is more than `ROUNDING_S`."""
    missing_s = 0.0
    for found in _CUT_OFF.finditer(file.extra_info):
        announced, present = int(found[1]), int(found[2])
        if present + _SLOPPY_BYTES < announced < _STREAMED:
            # By the mean size of a sample, which is exact for PCM.
            missing_s = (announced - present) / max(present, 1) * file.frames / file.samplerate
            if missing_s > ROUNDING_S or not file.frames:
                raise AudioError(
                    f"{path} is truncated: its header announces {announced} bytes of sound, {present} are there; copy "
                    f"or download it again."
                )
    if missing_s:
        warn_once("early end", f"{path} ends {1000 * missing_s:.3g} ms early: what it holds is read")
    if _NO_LAST_PAGE in file.extra_info:
        raise AudioError(
            f"{path} is truncated: its last Ogg page is missing; copy or download it again, or, if its writer never "
            f"marks the last page, convert it to FLAC."
        )
    return missing_s


def _reason(error: BaseException) -> str:
    return str(error).split(": ")[-1].rstrip(".")
