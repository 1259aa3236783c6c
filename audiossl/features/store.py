"""An entry of the cache that is open: a folder with a description and shards.

Any number of processes read and fill it. Nothing but a finished shard is ever read (see `shards`), and each process
writes shards of its own. Where the disk is full or the budget is spent, writing stops with one warning. What is stored
stays, and everything else is computed again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from audiossl.core.files import atomic_write
from audiossl.core.locks import lock_file, try_lock_file
from audiossl.features.identity import key_of
from audiossl.features.shards import (
    SUFFIX,
    RecordIndex,
    Shard,
    ShardError,
    ShardWriter,
    abandoned_files,
    quarantine,
    read_record,
)

_log = logging.getLogger(__name__)
ENTRY_FILE = "entry.json"  # the description
LOCK_FILE = ".lock"
SHARD_BYTES = 64 * 2**20
SHARD_AGE_S = 30.0
# What is mapped counts as memory of the process: after reading this much, all maps are dropped and made afresh.
_MAPPED_BYTES = 256 * 2**20
_MAPPED_FILES = 200


class Record(NamedTuple):
    """The bytes of one utterance's hidden states, a view of a mapped file."""

    data: Tensor
    num_frames: int
    num_samples: int


class Budget:
    """How much may still be written below `root` (the folder of all entries), shared by `world` processes."""

    def __init__(self, root: Path, max_gb: float | None, world: int = 1) -> None:
        self.root = root
        used = bytes_below(root)
        self.limit = used + free_bytes(root) // 2 if max_gb is None else int(max_gb * 1e9)
        self.left = max(self.limit - used, 0) // world

    def take(self, num_bytes: int) -> bool:
        """Whether that many bytes may be written, which are then counted."""
        if num_bytes > self.left:
            return False
        self.left -= num_bytes
        return True


class Store:
    """The records of one entry, by utterance. `close` it, or what was added last is lost.

    root: the folder of all entries.
    description: what `identity.describe_entry` gives.
    budget: what may still be written.
    note: what the description says for people, the encoder's name.
    """

    def __init__(self, root: Path, description: Mapping[str, Any], budget: Budget, note: str = "") -> None:
        self.description, self.budget = dict(description), budget
        self.key = key_of(self.description)
        self.folder = root / self.key
        self._shards: dict[str, Shard] = {}
        self._maps: dict[str, Tensor] = {}
        self._found: dict[str, tuple[str, RecordIndex]] = {}
        self._verified: set[str] = set()
        self._pending: set[str] = set()
        self._writer: ShardWriter | None = None
        self._begun_s = 0.0
        self._read_bytes = 0
        self._lock: Any = None
        self.stopped = ""  # why nothing more is kept
        self.writable = self._prepare(note)
        self.refresh()

    def __contains__(self, utterance: str) -> bool:
        return utterance in self._found or utterance in self._pending

    def __len__(self) -> int:
        return len(self._found)

    def refresh(self) -> None:
        """Take notice of the shards that this and other processes have finished."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name in self._shards:
                continue
            try:
                shard = Shard(path)
            except ShardError as error:
                _log.warning("%s It is put aside and computed again.", error)
                quarantine(path)
            except OSError:
                continue  # removed by somebody else
            else:
                self._shards[path.name] = shard
                for place in shard.index:
                    self._found.setdefault(place.utterance, (path.name, place))

    def read(self, utterance: str) -> Record | None:
        """What is stored for an utterance. None for nothing, or nothing that is whole."""
        if utterance in self._pending:
            self.flush()
        found = self._found.get(utterance)
        if found is None:
            return None
        name, place = found
        try:
            data = self._view(name, place)
        except (ShardError, OSError) as error:
            if isinstance(error, ShardError):
                _log.warning("%s %s is put aside and computed again.", error, self.folder / name)
                quarantine(self.folder / name)
            self._forget(name)
            return None
        return Record(data, place.num_frames, place.num_samples)

    def add(self, record: Tensor, *, utterance: str, **facts: Any) -> bool:
        """Store a record, unless nothing more may be or can be written.

        record: (N,) uint8, as `Codec.encode` gives it.
        utterance: what it is of.
        facts: the rest of what `ShardWriter.add` takes.
        Returns whether it was added.
        """
        if not self.writable or utterance in self:
            return False
        if not self.budget.take(len(record)):
            self._stop(f"the cache has reached its limit of {self.budget.limit / 1e9:.3g} GB (cache.max_gb)")
            return False
        try:
            if self._writer is None:
                self._writer, self._begun_s = ShardWriter(self.folder), time.monotonic()
            self._writer.add(record, utterance=utterance, **facts)
        except OSError as error:
            self._abandon()
            self._stop(f"{self.folder} cannot be written ({error.strerror or error})")
            return False
        self._pending.add(utterance)
        old = time.monotonic() - self._begun_s > SHARD_AGE_S
        if old or self._writer.num_bytes >= SHARD_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Finish the shard that is being written, so that it can be read."""
        if self._writer is None:
            return
        try:
            self._writer.finish()
        except OSError as error:
            self._abandon()
            self._stop(f"{self.folder} cannot be written ({error.strerror or error})")
            return
        self._writer = None
        self._pending.clear()
        self.refresh()

    def close(self) -> None:
        """Finish what is being written. The store can go on being read."""
        self.flush()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _prepare(self, note: str) -> bool:
        """Make the folder with its description, and mark it as in use. False where nothing can be written."""
        try:
            self._lock = _shared_lock(self.folder)
            if not (self.folder / ENTRY_FILE).is_file():
                created = datetime.now(UTC).isoformat(timespec="seconds")
                facts = {"upstream": note, "created": created, "description": self.description}
                with atomic_write(self.folder / ENTRY_FILE) as temporary:
                    temporary.write_text(json.dumps(facts, indent=2), encoding="utf-8")
            for path in abandoned_files(self.folder):
                path.unlink(missing_ok=True)
        except OSError as error:
            self.stopped = f"{self.folder} cannot be written ({error.strerror or error})"
            _log.warning("%s: no more hidden states are kept.", self.stopped)
            return False
        return True

    def _view(self, name: str, place: RecordIndex) -> Tensor:
        if self._read_bytes > _MAPPED_BYTES or len(self._maps) > _MAPPED_FILES:
            self._maps.clear()  # tensors that are still in use keep theirs
            self._read_bytes = 0
        if name not in self._maps:
            self._maps[name] = self._shards[name].map()
        mapped = self._maps[name]
        self._read_bytes += place.num_bytes
        if place.utterance in self._verified:
            return mapped[place.offset : place.offset + place.num_bytes]
        record = read_record(mapped, place)
        self._verified.add(place.utterance)
        return record

    def _forget(self, name: str) -> None:
        self._maps.pop(name, None)
        self._verified -= {place.utterance for place in self._shards.pop(name).index}
        self._found = {}  # another shard may have the same utterances
        for shard in self._shards.values():
            for place in shard.index:
                self._found.setdefault(place.utterance, (shard.path.name, place))

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
        self._writer = None
        self._pending.clear()

    def _stop(self, why: str) -> None:
        self.flush()  # what was written before is whole
        if self.writable:
            self.writable, self.stopped = False, why
            _log.warning(
                "No more hidden states are kept, because %s; those that are missing are computed again whenever they "
                "are needed. Make room with `audiossl cache prune`.",
                why,
            )


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[bool]:
    """Whether no process has this entry open. While the block runs, none can open it."""
    with open(folder / LOCK_FILE, "a", encoding="utf-8") as lock:
        yield try_lock_file(lock)


def _shared_lock(folder: Path) -> Any:
    """An open file that marks an entry as in use. Its time of modification is that of the last use."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK_FILE, "a", encoding="utf-8")  # noqa: SIM115  as long as the entry is in use
        lock_file(file, shared=True)
        if os.fstat(file.fileno()).st_nlink:
            os.utime(file.fileno())
            return file
        file.close()  # the entry was removed while we waited for it


def bytes_below(root: Path) -> int:
    """The bytes of all files in and below a folder, 0 where there is none."""
    total = 0
    for path in root.rglob("*") if root.is_dir() else []:
        try:
            status = path.stat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
        except OSError:  # removed while we look
            continue
    return total


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not exist yet."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free
