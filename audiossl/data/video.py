"""The sound of films and telephones (MP4 and M4A, WebM, AMR, ...), which libsndfile does not read, by PyAV.

All of it is decoded at once, as floats at its own rate and with its own channels. A file is told by its content and
opened as that format alone: no playlist is followed and no address opened.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import soundfile

from audiossl.core.errors import AudioError, first_line
from audiossl.data.containers import FileSource, HeldFile, open_source

_MOST_BYTES = 1 << 30  # of samples: 46 minutes of stereo at 48 kHz, of which there are three copies for a moment
_PADDING = 4096  # samples by which the last frame of a codec may go beyond the end
_SLACK_S = 0.1  # by which a film may end before what it states


class _Format(NamedTuple):
    """A file that begins so at a byte is of a format, for messages, and of one of FFmpeg's demultiplexers."""

    place: int
    mark: bytes
    name: str
    demultiplexer: str
    says_length: bool = False


_FORMATS = (
    _Format(4, b"ftyp", "MP4", "mov", says_length=True),
    _Format(4, b"moov", "QuickTime", "mov", says_length=True),
    _Format(4, b"wide", "QuickTime", "mov", says_length=True),
    _Format(4, b"mdat", "QuickTime", "mov", says_length=True),
    _Format(0, b"\x1a\x45\xdf\xa3", "Matroska or WebM", "matroska", says_length=True),
    _Format(0, b"#!AMR", "AMR", "amr"),
    _Format(0, b"\xff\xf1", "AAC", "aac"),
    _Format(0, b"\xff\xf9", "AAC", "aac"),
    _Format(0, b"\x0b\x77", "AC-3", "ac3"),
    _Format(0, b"\x30\x26\xb2\x75", "Windows Media", "asf"),
    _Format(8, b"AVI ", "AVI", "avi"),
    _Format(0, b"\x00\x00\x01\xba", "MPEG", "mpeg"),
    _Format(0, b"wvpk", "WavPack", "wv"),
    _Format(0, b"TTA1", "TTA", "tta"),
    _Format(0, b"MAC ", "Monkey's Audio", "ape"),
    _Format(0, b"DSD ", "DSF", "dsf"),
)


def format_of(source: FileSource) -> _Format | None:
    """What a file is by its first bytes, None for what PyAV is not asked for."""
    try:
        with open_source(source) as file:
            begin = file.read(16)
    except OSError:  # what cannot be opened is said elsewhere
        return None
    return next((each for each in _FORMATS if begin[each.place :].startswith(each.mark)), None)


@lru_cache(maxsize=1)  # a recording is often opened several times on end: its facts, then its parts
def decoded(source: FileSource, found: _Format, identity: tuple[int, ...]) -> HeldFile:
    """The first sound track of a film as a WAV file of floats. That which was asked for last is kept.

    source: the film.
    found: what it is.
    identity: of a file on a disk, another one where it was replaced.
    Raises AudioError where PyAV is not installed, and for a film that is damaged, cut off, without sound or too long.
    """
    av = _load_av(source, found)
    try:
        with open_source(source) as file, av.open(file, format=found.demultiplexer) as film:
            if not film.streams.audio:
                raise AudioError(f"{source} is {found.name} without a sound track; leave it out.")
            track = film.streams.audio[0]
            frames = np.concatenate([np.zeros((0, track.channels), np.float32), *_blocks(av, film, track, source)])
            stated_s = _stated_s(film, track) if found.says_length else None
            rate_hz = int(track.rate)
    except AudioError:
        raise
    except (av.FFmpegError, ValueError, TypeError) as error:  # those of PyAV itself where a header makes no sense
        raise AudioError(
            f"{source} is {found.name} that cannot be decoded ({first_line(error)}); copy or download it again."
        ) from error
    if stated_s is not None:
        if len(frames) / rate_hz < stated_s - _SLACK_S:
            raise AudioError(
                f"{source} is truncated: it states {stated_s:.3f} s of sound, {len(frames) / rate_hz:.3f} s are there; "
                f"copy or download it again."
            )
        end = round(stated_s * rate_hz)
        frames = frames[:end] if len(frames) - end < _PADDING else frames
    content = io.BytesIO()
    soundfile.write(content, frames, rate_hz, format="WAV", subtype="FLOAT")
    return HeldFile(str(source), content.getvalue())


def _blocks(av: Any, film: Any, track: Any, source: FileSource) -> Iterator[Any]:
    """Parts (s, channels) of a sound track as floats."""
    as_floats, num_bytes = av.AudioResampler(format="fltp", layout=track.layout, rate=track.rate), 0
    for frame in chain(film.decode(track), [None]):
        for part in as_floats.resample(frame):
            block = part.to_ndarray().T
            num_bytes += block.nbytes
            if num_bytes > _MOST_BYTES:
                raise AudioError(f"{source} has more sound than fits into memory at once; convert it to FLAC first.")
            yield block


def _stated_s(film: Any, track: Any) -> float | None:
    """How long a track is by its own words, None where it does not say. A film of one track is as long as that."""
    if track.duration is not None:
        return float(track.duration * track.time_base)
    return film.duration / 1e6 if film.duration and len(film.streams) == 1 else None


def _load_av(source: FileSource, found: _Format) -> Any:
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{source} is {found.name}, which needs the package av; run `pip install audiossl-toolkit[video]`, or "
            f"convert it to WAV or FLAC."
        ) from error
    return av
