"""The streams inside a sound file, where its header does not say how much sound there is.

An MP3 file says how long it is only if its first frame holds a Xing, Info or VBRI table. Without one libsndfile divides
the size by the rate of the first frame, which is wrong wherever the rate varies. Two MP3, Ogg, FLAC, CAF or AU files
joined by `cat` are one file whose header speaks of the first alone. A recorder that lost its power leaves a WAV header
that says 0 bytes. In each case the file is taken apart here by the sizes or marks of its frames, pages or chunks
(nothing is decoded), and each part is later read as a file of its own, behind a header that is true.

MPEG: ISO/IEC 11172-3 and 13818-3. Xing and Info: as LAME writes them. Ogg: RFC 3533.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from audiossl.core.errors import AudioError

# kbit/s by bitrate index, 1 to 14, of MPEG-1 and of MPEG-2 and 2.5, by layer.
_KBITS = {
    (True, 1): range(32, 449, 32),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44100, 48000, 32000)  # of MPEG-1
_RATE_DIVISOR = {3: 1, 2: 2, 0: 4}  # by the version bits: MPEG-1, 2, 2.5
_TABLE_BYTES = 64  # a frame this large has room for the Xing table
# FLAC: a STREAMINFO block of 34 bytes, which is the last block or not. CAF: version 1 without flags.
_MARKS = {
    "FLAC": (b"fLaC", (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")),
    "CAF": (b"caff", (b"\x00\x01\x00\x00",)),
}
_UNKNOWN_SIZE = 0xFFFFFFFF
_AU_HEADER_BYTES = 24
_PIECE_BYTES = 1 << 20
_SLACK_BYTES = 2048  # by which encoders miscount a stream: about a frame

Content = mmap.mmap | bytes


class Part(NamedTuple):
    """Bytes start to stop of a file, behind `header`, are a sound file of their own."""

    start: int
    stop: int
    header: bytes = b""


class HeldFile(NamedTuple):
    """A file that is in memory.

    name: what messages call it.
    content: all of it.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


FileSource = str | HeldFile  # a path, or what is in memory already


class PartReader(io.RawIOBase):
    """A part of a file as a file, for libsndfile."""

    def __init__(self, source: FileSource, part: Part) -> None:
        self._file = open_source(source)
        self._part, self._place = part, 0
        self._size = len(part.header) + part.stop - part.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = min(max(base + offset, 0), self._size)
        return self._place

    def readinto(self, buffer: Any) -> int:
        room, header, done = memoryview(buffer).cast("B"), self._part.header, 0
        wanted = min(len(room), self._size - self._place)
        if self._place < len(header):
            done = min(wanted, len(header) - self._place)
            room[:done] = header[self._place : self._place + done]
        if done < wanted:
            self._file.seek(self._part.start + self._place + done - len(header))
            done += self._file.readinto(room[done:wanted])
        self._place += done
        return done

    def close(self) -> None:
        self._file.close()
        super().close()


def open_source(source: FileSource) -> io.BufferedReader | io.BytesIO:
    """A file to read from, which whoever asks closes."""
    return io.BytesIO(source.content) if isinstance(source, HeldFile) else open(source, "rb")


class _Frame(NamedTuple):
    """What the header of an MPEG frame says. `kind` is equal for frames of one stream."""

    size: int
    kind: tuple[int, int, int, bool]
    table_at: int


def mp3_parts(path: FileSource, num_samples: int) -> tuple[Part, ...]:
    """The streams of an MP3 file that libsndfile holds for `num_samples` long, () where that is true.

    Raises AudioError for a file that was cut off.
    """
    with _mapped(path) as data:
        place = _after_tags(data, 0)
        first = _frame_at(data, place)
        if first is None:
            return ()  # what libsndfile makes of it is all that there is
        table = _table_of(data, place, first)
        end = len(data) - 128 * (data[-128:-125] == b"TAG")
        if table is not None and table.name != b"VBRI" and abs(table.num_bytes - (end - place)) <= _SLACK_BYTES:
            return ()
        streams = list(_mp3_streams(data, place))
    for stream in streams:
        if stream.table is not None and stream.table.num_frames > stream.num_frames + 1:
            raise AudioError(
                f"{path} is truncated: its header announces {stream.table.num_frames} MP3 frames, {stream.num_frames} "
                f"are there; copy or download it again."
            )
    if len(streams) == 1 and (streams[0].is_announced or streams[0].num_samples == num_samples):
        return ()
    return tuple(stream.part for stream in streams)


def ogg_parts(path: FileSource) -> tuple[Part, ...]:
    """The chained streams of an Ogg file, () where it has one."""
    starts, place, opening = [0], 0, True
    with _mapped(path) as data:
        end = len(data)
        while place + 27 <= end and data[place : place + 4] == b"OggS":
            begins = bool(data[place + 5] & 2)
            # Streams side by side begin together, chained ones after the pages of the one before.
            if begins and not opening:
                starts.append(place)
            opening = begins
            count = data[place + 26]
            place += 27 + count + sum(data[place + 27 : place + 27 + count])
    stops = [*starts[1:], end]
    return () if len(starts) == 1 else tuple(map(Part, starts, stops))


def marked_parts(path: FileSource, form: str) -> tuple[Part, ...]:
    """The streams of FLAC or CAF files that were joined, () where there is one.

    Each begins with its mark and with what always follows it: eight bytes that no sound has by chance.
    """
    mark, followed_by = _MARKS[form]
    with _mapped(path) as data:
        starts = [place for place in _places_of(data, mark) if data[place + 4 : place + 8] in followed_by]
        return _between(starts, len(data))


def au_parts(path: FileSource) -> tuple[Part, ...]:
    """The streams of AU files that were joined, () where there is one."""
    starts, place = [], 0
    with _mapped(path) as data:
        while data[place : place + 4] == b".snd":
            starts.append(place)
            offset, size = (int.from_bytes(data[place + at : place + at + 4], "big") for at in (4, 8))
            if size == _UNKNOWN_SIZE:
                break
            place += max(offset + size, _AU_HEADER_BYTES)
        return _between(starts, len(data))


def _places_of(data: Content, mark: bytes) -> Iterator[int]:
    """Where a mark stands. In pieces, as bytes are searched much faster than a map."""
    for begin in range(0, len(data), _PIECE_BYTES):
        piece = data[begin : begin + _PIECE_BYTES + len(mark) - 1]
        place = piece.find(mark)
        while place >= 0:
            yield begin + place
            place = piece.find(mark, place + len(mark))


def _between(starts: Sequence[int], end: int) -> tuple[Part, ...]:
    """Parts from each start to the next, () for fewer than two."""
    return tuple(Part(start, stop) for start, stop in pairwise([*starts, end])) if len(starts) > 1 else ()


def unfinished_wav(path: FileSource) -> Part | None:
    """The sound of a WAV file whose header says that there is none, None where there is indeed none."""
    with _mapped(path) as data:
        place, end = 12, len(data)
        while data[:4] == b"RIFF" and place + 8 <= end:
            name, size = struct.unpack_from("<4sI", data, place)
            if name == b"data":
                # Whole chunks up to the end of the file are no sound.
                if size or end == place + 8 or _is_chunks(data, place + 8):
                    return None
                header = data[:4] + struct.pack("<I", 0xFFFFFFFF) + data[8 : place + 4] + b"\xff\xff\xff\xff"
                return Part(place + 8, end, header)
            place += 8 + size + size % 2
    return None


def _is_chunks(data: Content, place: int) -> bool:
    end = len(data)
    while place + 8 <= end:
        name, size = struct.unpack_from("<4sI", data, place)
        if not name.isalnum() and not name.strip().isalnum():
            return False
        place += 8 + size + size % 2
    return place in (end, end + 1)


@contextmanager
def _mapped(source: FileSource) -> Iterator[Content]:
    if isinstance(source, HeldFile):
        yield source.content
        return
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


@lru_cache(maxsize=1 << 16)
def _frame_of(header: bytes) -> _Frame | None:
    """The frame that begins with these four bytes, None where they begin none.

    >>> _frame_of(bytes([0xFF, 0xFB, 0x90, 0x00])).size  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 144 * 128000 / 44100
    417
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbits, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    mpeg1, mono = version == 3, header[3] >> 6 == 3
    rate_hz = _RATES_HZ[rate] // _RATE_DIVISOR[version]
    bits = 1000 * _KBITS[mpeg1, layer][kbits - 1]
    if layer == 1:
        size = (12 * bits // rate_hz + padding) * 4
    else:
        size = (72 if layer == 3 and not mpeg1 else 144) * bits // rate_hz + padding
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return _Frame(size, (version, layer, rate_hz, mono), 4 + side)


def _frame_at(data: Content, place: int) -> _Frame | None:
    return _frame_of(data[place : place + 4])


class _Table(NamedTuple):
    """What a Xing, Info or VBRI table in a frame of `size` bytes says, -1 for what it does not."""

    name: bytes
    num_frames: int
    num_bytes: int
    size: int


def _table_of(data: Content, place: int, frame: _Frame) -> _Table | None:
    """The table that a frame holds instead of sound, None for one that holds sound."""
    at = place + frame.table_at
    if data[at : at + 4] in (b"Xing", b"Info") and not any(data[place + 4 : at]):
        flags, first, second = struct.unpack_from(">III", data[at + 4 : at + 16].ljust(12, b"\0"))
        num_frames = first if flags & 1 else -1
        num_bytes = (second if flags & 1 else first) if flags & 2 else -1
        return _Table(data[at : at + 4], num_frames, num_bytes, frame.size)
    if data[place + 36 : place + 40] == b"VBRI":
        num_bytes, num_frames = struct.unpack_from(">II", data[place + 46 : place + 54].ljust(8, b"\0"))
        return _Table(b"VBRI", num_frames, num_bytes, frame.size)
    return None


@dataclass
class _Mp3Stream:
    """Frames of one kind that follow each other, `first` being the header of the first of them."""

    start: int
    stop: int
    kind: tuple[int, int, int, bool]
    first: bytes
    table: _Table | None
    num_frames: int = 0

    @property
    def num_samples(self) -> int:
        """Without what a table says of the encoder's padding."""
        version, layer, _, _ = self.kind
        return self.num_frames * (384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152)

    @property
    def is_announced(self) -> bool:
        """Whether its own table says how long it is. Some encoders count the frame of the table too."""
        table = self.table
        return table is not None and table.name != b"VBRI" and abs(table.num_frames - self.num_frames) <= 1

    @property
    def part(self) -> Part:
        if self.is_announced:
            return Part(self.start, self.stop)
        # A table that is not true is left out.
        begin = self.start if self.table is None else self.start + self.table.size
        return Part(begin, self.stop, _xing(self.first, self.num_frames))


def _mp3_streams(data: Content, place: int) -> Iterator[_Mp3Stream]:
    """The streams of whole frames in a file from a place on. A table, a tag or another kind of frame begins one."""
    stream: _Mp3Stream | None = None
    for at, frame, after_tag in _mp3_frames(data, place):
        table = _table_of(data, at, frame)
        if stream is None or after_tag or table is not None or frame.kind != stream.kind:
            if stream is not None and stream.num_frames:
                yield stream
            stream = _Mp3Stream(at, at, frame.kind, bytes(data[at : at + 4]), table)
        stream.num_frames += table is None
        stream.stop = at + frame.size
    if stream is not None and stream.num_frames:
        yield stream


def _mp3_frames(data: Content, place: int) -> Iterator[tuple[int, _Frame, bool]]:
    """(place, frame, whether a tag stands before it) of each whole frame."""
    end, after_tag, expected = len(data), False, -1
    kind: tuple[int, int, int, bool] | None = None
    while 0 <= place <= end - 4:
        frame = _frame_at(data, place)
        # Where another frame was not to be expected, two in a row must agree: sound can look like a header.
        surely = frame is not None and place == expected and frame.kind == kind
        if frame is not None and (surely or _is_followed(data, place, frame)):
            if place + frame.size > end:
                return
            yield place, frame, after_tag
            place = expected = place + frame.size
            after_tag, kind = False, frame.kind
        elif (after := _after_tags(data, place)) != place:
            place, after_tag = after, True
        else:
            place = data.find(b"\xff", place + 1)


def _is_followed(data: Content, place: int, frame: _Frame) -> bool:
    after = _after_tags(data, place + frame.size)
    following = _frame_at(data, after)
    return after >= len(data) or (following is not None and following.kind == frame.kind)


def _after_tags(data: Content, place: int) -> int:
    """The first byte from `place` on that is no part of an ID3 or APE tag."""
    while True:
        if data[place : place + 3] == b"ID3":
            sizes = data[place + 6 : place + 10].ljust(4, b"\0")
            footer = 10 if data[place + 5 : place + 6] > b"\x0f" else 0
            place += (
                10 + footer + sum((byte & 0x7F) << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=True))
            )
        elif data[place : place + 3] == b"TAG":
            place += 128
        elif data[place : place + 8] == b"APETAGEX":
            place += 32 + int.from_bytes(data[place + 12 : place + 16], "little")
        else:
            return place


def _xing(first: bytes, num_frames: int) -> bytes:
    """A frame without sound whose table announces `num_frames` frames like the one with the header `first`."""
    for kbits in range(1, 15):
        # The same stream, without checksum and padding, at a rate that leaves room for the table.
        header = bytes((first[0], first[1] | 1, kbits << 4 | first[2] & 0x0C, first[3]))
        frame = _frame_of(header)
        if frame is not None and frame.size >= _TABLE_BYTES:
            table = b"Xing" + struct.pack(">II", 1, num_frames)
            return header + (bytes(frame.table_at - 4) + table).ljust(frame.size - 4, b"\0")
    raise ValueError(f"No MPEG frame like {first.hex()} has room for a table.")
