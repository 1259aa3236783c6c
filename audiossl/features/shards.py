"""One file of records: written by one process under a temporary name, and renamed when it is whole and on the disk.

    header (64 bytes) | record | record | ... | index (JSON) | footer: place, length and crc32 of the index, a mark

The index is in the file that it describes, so that both appear in the same step. A file without its last bytes is no
shard. A record whose crc32 is not that of the index is never returned.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from audiossl.core.locks import lock_file, try_lock_file
from audiossl.features.codec import ALIGNMENT

SUFFIX = ".shard"
_PART_SUFFIX = ".shard.part"  # not that of other files which are written in one step: those have no lock
BAD_SUFFIX = ".bad"
_HEADER = b"audiossl features 1\n".ljust(ALIGNMENT, b"\0")
_FOOTER = struct.Struct("<QQI8s")
_MARK = b"complete"


class ShardError(Exception):
    """A file is no whole shard, or a record in it is not what was written."""


class RecordIndex(NamedTuple):
    """Where a record lies in a shard, and what it is of.

    utterance: see `identity.utterance_of`.
    row: its id in the manifest.
    offset: of the record in the file, in bytes.
    num_samples: at the encoder's rate.
    sound: blake2b of those samples.
    """

    utterance: str
    row: str
    offset: int
    num_bytes: int
    num_frames: int
    num_samples: int
    crc32: int
    sound: str


class ShardWriter:
    """Appends records to a new file. Nothing can be read before `finish`.

    Methods raise OSError where the disk does not take what is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index: list[RecordIndex] = []
        self._name = uuid.uuid4().hex
        self._part = folder / f".{self._name}{_PART_SUFFIX}"
        self._file: BinaryIO = _created(self._part)
        self.num_bytes = self._file.write(_HEADER)

    def add(self, record: Tensor, *, utterance: str, row: str, num_frames: int, num_samples: int, sound: str) -> None:
        """Append a record.

        record: (N,) uint8, N a multiple of 64.
        utterance, row, num_frames, num_samples, sound: what it is of, see `RecordIndex`.
        """
        data = _bytes(record)
        self._file.write(data)
        facts = (utterance, row, self.num_bytes, len(data), num_frames, num_samples, zlib.crc32(data), sound)
        self.index.append(RecordIndex(*facts))
        self.num_bytes += len(data)

    def finish(self) -> Path:
        """Write the index, wait until the disk has everything, and give the file its name."""
        path = self.folder / f"{self._name}{SUFFIX}"
        index = json.dumps([list(place) for place in self.index], separators=(",", ":")).encode()
        with self._file as file:
            file.seek(self.num_bytes)  # a record that Ctrl-C cut short is not in the index
            file.truncate()
            file.write(index)
            file.write(_FOOTER.pack(self.num_bytes, len(index), zlib.crc32(index), _MARK))
            file.flush()
            os.fsync(file.fileno())
            os.rename(self._part, path)
        _sync_folder(self.folder)
        return path

    def abandon(self) -> None:
        """Forget what was not finished."""
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
            self._file.close()  # writes what is buffered, into a file without a name


class Shard:
    """A finished file, mapped into memory while it is read. Raises ShardError, OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < len(_HEADER) + _FOOTER.size:
                raise ShardError(f"{path} is too short.")
            file.seek(size - _FOOTER.size)
            start, length, checksum, mark = _FOOTER.unpack(file.read(_FOOTER.size))
            if mark != _MARK or start + length + _FOOTER.size != size:
                raise ShardError(f"{path} has no end.")
            file.seek(start)
            index = file.read(length)
            file.seek(0)
            if zlib.crc32(index) != checksum or file.read(len(_HEADER)) != _HEADER:
                raise ShardError(f"{path} has a damaged index.")
        self.num_bytes = size
        try:
            self.index = [RecordIndex(*row) for row in json.loads(index)]
        except (TypeError, ValueError) as error:
            raise ShardError(f"{path} has an index that this version of audiossl cannot read.") from error

    def map(self) -> Tensor:
        """The whole file as (size,) uint8, mapped for as long as something refers to it. Raises ShardError, OSError."""
        with open(self.path, "rb") as file:
            # Copy-on-write: torch wants memory that it may write to, and the file must stay as it is.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if len(mapped) != self.num_bytes:
            raise ShardError(f"{self.path} has changed its size.")
        return torch.frombuffer(mapped, dtype=torch.uint8)


def read_record(mapped: Tensor, place: RecordIndex) -> Tensor:
    """The record that lies there in a mapped shard, a view. Raises ShardError if it is not what was written."""
    record = mapped[place.offset : place.offset + place.num_bytes]
    if len(record) != place.num_bytes or zlib.crc32(_bytes(record)) != place.crc32:
        raise ShardError(f"The record of {place.row} is damaged.")
    return record


def quarantine(path: Path) -> None:
    """Take a damaged shard out of use, but keep it for whoever wants to know what happened."""
    with suppress(OSError):  # another process was first, or the folder cannot be written: it is skipped anyway
        os.rename(path, path.with_name(path.name + BAD_SUFFIX))


def abandoned_files(folder: Path) -> Iterator[Path]:
    """Unfinished files whose writer has died: it held a lock on them."""
    for path in folder.glob(f".*{_PART_SUFFIX}"):
        try:
            with open(path, "rb") as file:
                if try_lock_file(file):
                    yield path
        except OSError:
            continue


def _bytes(record: Tensor) -> memoryview:
    array: Any = record.numpy()
    return memoryview(array)


def _created(path: Path) -> Any:
    """A new file under a lock, made again if somebody who cleans up found it in the moment before it was locked."""
    while True:
        file = open(path, "xb")  # noqa: SIM115  stays open as long as its writer
        lock_file(file)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _sync_folder(folder: Path) -> None:
    """Let a new name survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
