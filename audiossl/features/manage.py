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

from audiossl.core.errors import AudiosslError
from audiossl.data.reading import read_cut
from audiossl.features.identity import FORMAT, code_version, utterance_of
from audiossl.features.shards import BAD_SUFFIX, SUFFIX, Entry, Shard, ShardError, abandoned, checked, quarantine
from audiossl.features.source import hash_of
from audiossl.features.store import alone, bytes_below

if TYPE_CHECKING:
    from lhotse.cut import Cut


class Kept(NamedTuple):
    """One entry of the cache: an encoder's hidden states in one form.

    used_s: time of the last use, in seconds since 1970; usable: whether the installed code still reads it.
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
        used = datetime.fromtimestamp(self.used_s, UTC).isoformat(timespec="seconds")
        facts = {"key": self.key, "upstream": self.upstream, "form": self.description["form"]}
        facts |= {name: self.description[name] for name in ("dtype", "layers", "widths")}
        counts = ("num_utterances", "num_frames", "num_bytes", "num_damaged", "usable")
        return {**facts, **{name: getattr(self, name) for name in counts}, "used": used}


def kept_in(root: Path) -> list[Kept]:
    """All entries below a folder, the last used one first."""
    found = [kept for folder in (root.iterdir() if root.is_dir() else []) if (kept := _read(folder)) is not None]
    return sorted(found, key=lambda kept: (-kept.used_s, kept.key))


def find(root: Path, key: str) -> Kept:
    """The entry whose key begins so. Raises AudiosslError."""
    matching = [kept for kept in kept_in(root) if kept.key.startswith(key)]
    if len(matching) != 1:
        what = f"{len(matching)} entries begin" if matching else "no entry begins"
        raise AudiosslError(f"In {root} {what} with {key!r}; see `audiossl cache list`.")
    return matching[0]


def verify(kept: Kept) -> Iterator[str]:
    """Read everything; damaged shards are put aside and named."""
    for path in sorted(kept.folder.glob(f"*{SUFFIX}")):
        try:
            shard = Shard(path)
            mapped = shard.map()
            for entry in shard.entries:
                checked(mapped, entry)
        except (ShardError, OSError) as error:
            if isinstance(error, ShardError):
                quarantine(path)
            yield f"{path}: {error} Its recordings will be computed again."


def verify_sound(kept: Kept, cuts: Iterable[Cut]) -> Iterator[str]:
    """Read the rows' sound again, and name those whose hidden states are of another sound."""
    sounds = {entry.utterance: entry.sound for entry in _entries(kept.folder)}
    rate = kept.description["audio"]["sample_rate_hz"]
    for cut in cuts:
        expected = sounds.get(utterance_of(cut) or "")
        if expected is not None and hash_of(torch.from_numpy(read_cut(cut, rate))) != expected:
            yield f"{cut.id}: its sound is not the one that the hidden states in {kept.key} were computed from."


def remove(kept: Kept) -> bool:
    """Delete an entry; False where a process has it open."""
    with alone(kept.folder) as free:
        if free:
            shutil.rmtree(kept.folder, ignore_errors=True)
    return free


def prune(
    root: Path, *, max_gb: float | None = None, older_than_days: float | None = None, unused: bool = False
) -> list[Kept]:
    """Delete entries that are not in use, and what was abandoned or put aside in those that stay.

    max_gb: the least recently used ones until so much is left; older_than_days: not used for so long; unused: those
    that the installed code does not read any more. Returns what was deleted.
    """
    entries = kept_in(root)
    before = time.time() - (older_than_days or 0) * 86400
    gone = [
        kept
        for kept in entries
        if ((unused and not kept.usable) or (older_than_days is not None and kept.used_s < before)) and remove(kept)
    ]
    left = [kept for kept in entries if kept not in gone]
    for kept in left:
        for path in [*abandoned(kept.folder), *kept.folder.glob(f"*{BAD_SUFFIX}")]:
            path.unlink(missing_ok=True)
    if max_gb is not None:
        for kept in reversed(left):
            if bytes_below(root) > max_gb * 1e9 and remove(kept):
                gone.append(kept)
    return gone


def _read(folder: Path) -> Kept | None:
    try:
        facts = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        used_s = (folder / ".lock").stat().st_mtime
        description = facts["description"]
        usable = description["format"] == FORMAT and code_version(description["modules"]) == description["code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    entries = {entry.utterance: entry for entry in _entries(folder)}
    return Kept(
        folder,
        facts["upstream"],
        description,
        len(entries),
        sum(entry.num_frames for entry in entries.values()),
        bytes_below(folder),
        len(list(folder.glob(f"*{BAD_SUFFIX}"))),
        used_s,
        usable,
    )


def _entries(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield from Shard(path).entries
        except (ShardError, OSError):
            continue
