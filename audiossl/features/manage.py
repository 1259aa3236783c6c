"""What is in the feature cache: list, verify and remove entries."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.data.reading import read_cut
from audiossl.features.identity import FORMAT, code_version, sound_digest, utterance_of
from audiossl.features.shards import (
    BAD_SUFFIX,
    SUFFIX,
    RecordIndex,
    Shard,
    ShardError,
    abandoned_files,
    quarantine,
    read_record,
)
from audiossl.features.store import ENTRY_FILE, LOCK_FILE, bytes_below, exclusive_lock

if TYPE_CHECKING:
    from lhotse.cut import Cut


class CacheEntry(NamedTuple):
    """What is known of an entry, the hidden states of one encoder in one form.

    used_s: time of the last use, in seconds since 1970.
    usable: whether the installed code still reads it.
    """

    folder: Path
    upstream: str
    description: dict[str, Any]
    num_utterances: int
    num_frames: int
    num_bytes: int
    num_damaged: int
    used_s: float
    usable: bool

    @property
    def key(self) -> str:
        return self.folder.name

    def as_json(self) -> dict[str, Any]:
        """What `audiossl cache list --json` says of it."""
        used = datetime.fromtimestamp(self.used_s, UTC).isoformat(timespec="seconds")
        facts = {"key": self.key, "upstream": self.upstream, "form": self.description["form"]}
        facts |= {name: self.description[name] for name in ("dtype", "layers", "widths")}
        counts = ("num_utterances", "num_frames", "num_bytes", "num_damaged", "usable")
        return {**facts, **{name: getattr(self, name) for name in counts}, "used": used}


def entries_in(root: Path) -> list[CacheEntry]:
    """All entries below a folder, the last used one first."""
    found = [
        entry for folder in (root.iterdir() if root.is_dir() else []) if (entry := _read_entry(folder)) is not None
    ]
    return sorted(found, key=lambda entry: (-entry.used_s, entry.key))


def find_entry(root: Path, key: str) -> CacheEntry:
    """The entry whose key begins so. Raises AudiosslError for none, or for more than one."""
    matching = [entry for entry in entries_in(root) if entry.key.startswith(key)]
    if len(matching) != 1:
        what = f"{len(matching)} entries begin" if matching else "no entry begins"
        raise AudiosslError(f"In {root} {what} with {key!r}; see `audiossl cache list`.")
    return matching[0]


def verify_entry(entry: CacheEntry) -> Iterator[str]:
    """Read all of an entry. Damaged shards are put aside, with a sentence for each."""
    for path in sorted(entry.folder.glob(f"*{SUFFIX}")):
        try:
            shard = Shard(path)
            mapped = shard.map()
            for place in shard.index:
                read_record(mapped, place)
        except (ShardError, OSError) as error:
            if isinstance(error, ShardError):
                quarantine(path)
            yield f"{path}: {error} Its recordings will be computed again."


def verify_sound(entry: CacheEntry, cuts: Iterable[Cut]) -> Iterator[str]:
    """Read the rows' sound again. A sentence for each row whose hidden states are of another sound."""
    sounds = {place.utterance: place.sound for place in _places(entry.folder)}
    rate = entry.description["audio"]["sample_rate_hz"]
    for cut in cuts:
        expected = sounds.get(utterance_of(cut) or "")
        if expected is not None and sound_digest(torch.from_numpy(read_cut(cut, rate))) != expected:
            yield f"{cut.id}: its sound is not the one that the hidden states in {entry.key} were computed from."


def remove_entry(entry: CacheEntry) -> bool:
    """Delete an entry. False where a process has it open."""
    with exclusive_lock(entry.folder) as free:
        if free:
            shutil.rmtree(entry.folder, ignore_errors=True)
    return free


def prune_entries(
    root: Path, *, max_gb: float | None = None, older_than_days: float | None = None, unused: bool = False
) -> list[CacheEntry]:
    """Delete entries that are not in use, and what was abandoned or put aside in those that stay.

    root: the folder of all entries.
    max_gb: delete the least recently used ones until so much is left.
    older_than_days: delete what was not used for so long.
    unused: delete what the installed code does not read any more.
    Returns the entries that were deleted.
    Raises ConfigError for a limit that is none.
    """
    for option, limit in {"--max-gb": max_gb, "--older-than-days": older_than_days}.items():
        if limit is not None and not limit >= 0:  # NaN is neither
            raise ConfigError(f"{option} {limit:g}: give 0 or more.")
    entries = entries_in(root)
    before = time.time() - (older_than_days or 0) * 86400
    gone = [
        entry
        for entry in entries
        if ((unused and not entry.usable) or (older_than_days is not None and entry.used_s < before))
        and remove_entry(entry)
    ]
    # Size is looked at last, when all else that may go has gone.
    left = [entry for entry in entries if entry not in gone]
    for entry in left:
        for path in [*abandoned_files(entry.folder), *entry.folder.glob(f"*{BAD_SUFFIX}")]:
            path.unlink(missing_ok=True)
    if max_gb is not None:
        for entry in reversed(left):
            if bytes_below(root) > max_gb * 1e9 and remove_entry(entry):
                gone.append(entry)
    return gone


def _read_entry(folder: Path) -> CacheEntry | None:
    try:
        facts = json.loads((folder / ENTRY_FILE).read_text(encoding="utf-8"))
        used_s = (folder / LOCK_FILE).stat().st_mtime
        upstream, description = facts["upstream"], facts["description"]
        usable = description["format"] == FORMAT and code_version(description["modules"]) == description["code"]
        for name in ("form", "dtype", "layers", "widths"):
            description[name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    places = {place.utterance: place for place in _places(folder)}
    return CacheEntry(
        folder,
        upstream,
        description,
        len(places),
        sum(place.num_frames for place in places.values()),
        bytes_below(folder),
        len(list(folder.glob(f"*{BAD_SUFFIX}"))) + sum(shard is None for shard in _shards(folder)),
        used_s,
        usable,
    )


def _places(folder: Path) -> Iterator[RecordIndex]:
    """The records of an entry's whole shards."""
    for shard in _shards(folder):
        yield from shard.index if shard else ()


def _shards(folder: Path) -> Iterator[Shard | None]:
    """The shards of an entry. None for one that is not whole or of another version."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Shard(path)
        except ShardError:
            yield None
        except OSError:  # removed while we look
            continue
