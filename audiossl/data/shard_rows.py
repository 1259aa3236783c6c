"""A row of a manifest as a member of a shard: its sound as a file of its own, and the row that names it.

Samples are kept exactly: FLAC where they are integers of 16 or 24 bits, else WAV in float. A compressed file (MP3, Ogg)
of which the row is the whole stays as it is, for its samples would take ten times the room.
"""

from __future__ import annotations

import dataclasses
import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import soundfile

from audiossl.core.errors import ManifestError
from audiossl.data.reading import audio_facts, channel_blocks, channel_of, path_of
from audiossl.data.shard_members import ShardMember
from audiossl.data.sound_file import Wave

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Sound that would be larger as samples.
_COMPRESSED = (".mp3", ".ogg", ".oga", ".opus")
_FLAC_CHANNELS = 8
_INTEGERS = (("PCM_16", 16), ("PCM_24", 24))


class EncodedSound(NamedTuple):
    """The sound of a row as a file.

    suffix: of the file, with its dot.
    content: of the file.
    num_samples, num_channels: that it has.
    """

    suffix: str
    content: bytes
    num_samples: int
    num_channels: int


def encoded(cut: Cut, form: str = "flac") -> EncodedSound:
    """The sound of a row as a file, at its own rate and with its own channels, or the one that the row is of.

    form: flac or wav, of samples that are integers.
    Raises AudioError for sound that cannot be read, ManifestError for a row that is not of one file.
    """
    path = path_of(cut)
    if path is None:
        raise ManifestError(
            f"Row {cut.id} is mixed, played faster or put together of several files, which no shard keeps; write its "
            f"sound to a file, and make a row of that."
        )
    frames = np.concatenate(list(channel_blocks(cut)))  # (s, channels)
    column = channel_of(cut, frames.shape[1])
    suffix = Path(path).suffix.lower()
    stays = (*_COMPRESSED, ".flac") if form == "flac" else _COMPRESSED
    whole = cut.start == 0 and column is None and audio_facts(path).num_samples == len(frames)
    if suffix in stays and whole:
        member = ShardMember.parse(path)
        return EncodedSound(suffix, Path(path).read_bytes() if member is None else member.read().content, *frames.shape)
    frames = frames if column is None else frames[:, column : column + 1]
    return EncodedSound(*as_file(frames, cut.recording.sampling_rate, form), *frames.shape)


def as_file(frames: Wave, rate_hz: int, form: str) -> tuple[str, bytes]:
    """Suffix and content of a file that gives exactly these samples.

    frames: (s, channels).
    rate_hz: of the samples.
    form: flac or wav, of samples that are integers.
    """
    for subtype, bits in _INTEGERS:
        scaled = frames * np.float32(2 ** (bits - 1))  # exact: a power of two
        if np.array_equal(scaled, np.rint(scaled)) and np.abs(scaled + 0.5).max() < 2 ** (bits - 1):
            integers = scaled.astype(np.int32) << (32 - bits)  # libsndfile takes the upper bits
            if form == "flac" and frames.shape[1] <= _FLAC_CHANNELS:
                with suppress(soundfile.LibsndfileError):  # FLAC has not every rate
                    return ".flac", _written(integers, rate_hz, "FLAC", subtype)
            return ".wav", _written(integers, rate_hz, "WAV", subtype)
    return ".wav", _written(frames, rate_hz, "WAV", "FLOAT")


def _written(samples: Any, rate_hz: int, form: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=form, subtype=subtype)
    return buffer.getvalue()


def as_member(cut: Cut, place: str, num_samples: int, num_channels: int) -> Cut:
    """The row as one of a recording that is the member.

    cut: the row.
    place: of the member.
    num_samples, num_channels: of the member.
    """
    from lhotse.audio import AudioSource

    rate, several = cut.recording.sampling_rate, len(cut.recording.channel_ids or [0]) > 1
    channels = list(range(num_channels)) if several else [0]
    lasts_s = num_samples / rate
    recording = dataclasses.replace(
        cut.recording,
        sources=[AudioSource("file", channels, place)],
        num_samples=num_samples,
        duration=lasts_s,
        channel_ids=channels,
    )
    # What a row says of its length stays, so that batches are what they were.
    kept_s = cut.duration if round(cut.duration * rate) == num_samples else lasts_s
    changed: dict[str, Any] = {"start": 0.0, "duration": kept_s, "recording": recording}
    if num_channels == 1 and isinstance(cut.channel, int):
        changed["channel"] = 0
        changed["supervisions"] = [dataclasses.replace(each, channel=0) for each in cut.supervisions]
    if cut.custom:
        changed["custom"] = {name: _moved(value, cut.start) for name, value in cut.custom.items()}
    moved: Any = dataclasses.replace(cut, **changed)
    return moved  # type: ignore[no-any-return]


def _moved(value: Any, start_s: float) -> Any:
    """What a row has of its own, where the recording begins `start_s` later: labels of frames say where they begin."""
    from lhotse.array import TemporalArray

    return dataclasses.replace(value, start=value.start - start_s) if isinstance(value, TemporalArray) else value
