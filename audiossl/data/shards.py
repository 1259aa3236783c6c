"""Shards: the rows of manifests as tar files of about an hour each, to be read one after another.

A row becomes two members, `<key>.flac` (or another kind of sound file) and `<key>.json`, as WebDataset has them. The
JSON is the row. `shards.jsonl` has a line for each finished tar: where its members lie, how long they last, and the
digests of their content. A manifest for each split names the members, in the order in which they lie, by tars of its
own folder: the folder can be moved, and copied to a URL.

A tar takes its name when it is whole and its line is on the disk. A run that was stopped goes on with the first tar
that is not there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from audiossl.core.errors import AudioError, AudiosslError, ConfigError, ManifestError, OutputError
from audiossl.core.files import atomic_write, open_no_link, read_jsonl, remove_parts, write_jsonl
from audiossl.core.locks import try_lock_file
from audiossl.core.outputs import check_out
from audiossl.core.ranges import Count, Range, check_ranges
from audiossl.core.terminal import progress
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import path_of
from audiossl.data.row_store import RowStore
from audiossl.data.shard_members import BLOCK, ShardMember, digest_of
from audiossl.data.shard_rows import EncodedSound, as_member, encoded

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

INDEX = "shards.jsonl"
_LOCK = "shards.lock"
_HELD = 20000  # rows that are kept as they are
_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ShardSettings:
    """How rows become shards."""

    shard_s: Annotated[float, Range(above=0)] = 3600.0
    """Most seconds of sound in a tar. A longer row has one of its own."""
    rows: Count | None = None
    """Most rows in a tar, instead of seconds."""
    form: Literal["flac", "wav"] = "flac"
    """Of samples that are integers. WAV is read faster and takes about twice the room."""
    shuffle: int | None = None
    """Seed by which rows are put in random order first. None for the order of the manifest."""
    skip_bad: bool = False
    """Leave out rows whose sound cannot be read, and name them."""
    num_workers: Count = 1
    """Threads that read and encode."""

    def __post_init__(self) -> None:
        check_ranges(self, "shards")
        if self.form not in ("flac", "wav"):
            raise ConfigError(f"format={self.form!r} must be flac or wav.")


@dataclass
class ShardReport:
    """What was written and what was there already.

    num_shards, num_rows, seconds: of all splits.
    num_kept: shards that were whole before.
    left_out: why each row that is not in them is not, by its id.
    manifests: that name the members, by split.
    """

    num_shards: int = 0
    num_rows: int = 0
    seconds: float = 0.0
    num_kept: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, Path] = field(default_factory=dict)


def write_shards(manifests: Mapping[str, Path], out: Path, settings: ShardSettings | None = None) -> ShardReport:
    """Write the rows of manifests as shards, or what is missing of them.

    manifests: by the name of the split, which names the tars and the new manifest too.
    out: the folder.
    settings: how rows become shards. None for the defaults.
    Raises AudioError for sound that cannot be read, ManifestError for a row that is not of one file, and OutputError
    where the folder has shards of other rows, somebody else writes into it, or the disk is full.
    """
    how = settings or ShardSettings()
    check_out(out, "folder")
    report = ShardReport()
    with _only_writer(out), _Index(out) as index:
        for split, path in manifests.items():
            rows = _ordered(read_manifest(path), how.shuffle)
            parts = list(_parts(rows, how))
            for number, part in enumerate(progress(parts, f"Writing {split}")):
                tar = out / f"{split}-{number:06d}.tar"
                made_from = _made_from((rows[row] for row in part), how)
                if index.has(tar, made_from):
                    report.num_kept += 1
                else:
                    _write_shard(tar, [(row, rows[row]) for row in part], made_from, how, index)
                _count(report, index.line(tar))
            members = (index.line(out / f"{split}-{number:06d}.tar") for number in range(len(parts)))
            rows_there = (cut for line, part in zip(members, parts, strict=True) for cut in _cuts_of(line, rows, part))
            report.manifests |= write_manifests({split: _lazy(rows_there)}, out)
    return report


class _Member(NamedTuple):
    """One row in a shard, as the index has it.

    row: its number in the order of writing.
    duration_s: as the sample count has it.
    """

    id: str
    row: int
    name: str
    offset: int
    size: int
    digest: str
    num_samples: int
    num_channels: int
    duration_s: float


def _write_shard(tar: Path, rows: Sequence[tuple[int, Cut]], made_from: str, how: ShardSettings, index: _Index) -> None:
    """Write one tar, and its line in the index just before it takes its name."""
    members, left_out = [], {}
    with atomic_write(tar) as temporary, open(temporary, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for (number, cut), sound in zip(rows, _sounds([cut for _, cut in rows], how), strict=True):
                if isinstance(sound, AudioError):
                    if not how.skip_bad:
                        raise AudioError(f"Row {cut.id}: {sound}") from sound
                    left_out[cut.id] = str(sound)
                    continue
                key = f"{number:08d}-{_SLUG.sub('_', cut.id)[:60]}"
                member = _Member(
                    cut.id,
                    number,
                    key + sound.suffix,
                    archive.offset + BLOCK,
                    len(sound.content),
                    digest_of(sound.content),
                    sound.num_samples,
                    sound.num_channels,
                    sound.num_samples / cut.recording.sampling_rate,
                )
                _add(archive, member.name, sound.content)
                row = as_member(cut, member.name, sound.num_samples, sound.num_channels).to_dict()
                _add(archive, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
                members.append(member._asdict())
        file.flush()
        os.fsync(file.fileno())
        line = {"shard": tar.name, "bytes": file.tell(), "made_from": made_from, "left_out": left_out}
        index.add({**line, "members": members})


def _sounds(cuts: Sequence[Cut], how: ShardSettings) -> Iterator[EncodedSound | AudioError]:
    """The sound of each row, or why it cannot be read, from threads: libsndfile works beside Python."""

    def sound_of(cut: Cut) -> EncodedSound | AudioError:
        try:
            return encoded(cut, how.form)
        except AudioError as error:
            return error

    with ThreadPoolExecutor(how.num_workers) as pool:
        yield from pool.map(sound_of, cuts)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)  # nobody's, and of no time, so that equal rows give equal tars
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _cuts_of(line: Mapping[str, Any], rows: RowStore, part: Sequence[int]) -> Iterator[Cut]:
    """The rows of a shard as its members. part: their numbers."""
    for told in line["members"]:
        member = _Member(**told)
        if member.row not in part or rows[member.row].id != member.id:
            raise ManifestError(f"{line['shard']} has {member.id}, which is not its row; remove {INDEX} and the tars.")
        place = ShardMember(str(line["shard"]), member.offset, member.size, member.digest, member.name)
        yield as_member(rows[member.row], str(place), member.num_samples, member.num_channels)


def _lazy(cuts: Iterator[Cut]) -> CutSet:
    from lhotse import CutSet

    return CutSet(cuts)


def _ordered(cuts: Iterable[Cut], seed: int | None) -> RowStore:
    """All rows, in random order with a seed. Raises ManifestError for an id that occurs twice."""
    rows, seen = RowStore(_HELD), set()
    for cut in cuts:
        if cut.id in seen:
            raise ManifestError(f"The manifest has two rows with the id {cut.id}; ids must be unique: make it again.")
        seen.add(cut.id)
        rows.add(cut)
    if seed is None:
        return rows
    mixed = RowStore(_HELD)
    for number in random.Random(f"{seed} shards").sample(range(len(rows)), len(rows)):
        mixed.add(rows[number])
    return mixed


def _parts(rows: RowStore, how: ShardSettings) -> Iterator[range]:
    """The numbers of the rows of each shard."""
    first, lasts_s = 0, 0.0
    for number in range(len(rows)):
        duration_s = rows[number].duration
        full = number - first == how.rows if how.rows else lasts_s + duration_s > how.shard_s
        if full and number > first:
            yield range(first, number)
            first, lasts_s = number, 0.0
        lasts_s += duration_s
    yield range(first, len(rows))


def _made_from(rows: Iterable[Cut], how: ShardSettings) -> str:
    """A hash of all that decides what is in a shard: its rows, the state of their files, and the format."""
    digest = hashlib.blake2b(how.form.encode(), digest_size=16)
    for cut in rows:
        path = path_of(cut) or ""
        try:
            status = os.stat(path)
            state = [status.st_size, status.st_mtime_ns]
        except (OSError, ValueError):  # a member of a shard, which the path says all of, or reading tells what is wrong
            state = []
        digest.update(json.dumps([cut.to_dict(), state], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _count(report: ShardReport, line: Mapping[str, Any]) -> None:
    report.num_shards += 1
    report.num_rows += len(line["members"])
    report.seconds += sum(member["duration_s"] for member in line["members"])
    report.left_out |= line["left_out"]


class _Index:
    """The file `shards.jsonl` of a folder that is written to: a line for each tar that is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / INDEX
        self._lines: dict[str, str] = {}  # as text, which takes a fraction of the memory

    def __enter__(self) -> _Index:
        if self.path.is_file():
            there = [line for line in read_jsonl(self.path, may_be_cut=True) if self._is_there(line)]
            write_jsonl(self.path, there)  # without what belongs to no tar
            self._lines = {line["shard"]: json.dumps(line) for line in there}
        self._file: IO[str] = open(self.path, "a", encoding="utf-8", opener=open_no_link)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, tar: Path, made_from: str) -> bool:
        """Whether a tar is whole. Raises OutputError for one of other rows."""
        if tar.name in self._lines and self.line(tar)["made_from"] == made_from:
            return True
        if tar.exists():
            raise OutputError(
                f"{tar} is there already, of other rows, other sound or another format; choose another --out, or "
                f"remove {tar.parent}."
            )
        return False

    def line(self, tar: Path) -> dict[str, Any]:
        """What is known of a tar."""
        found: dict[str, Any] = json.loads(self._lines[tar.name])
        return found

    def add(self, line: dict[str, Any]) -> None:
        """Append the line of a tar, which is on the disk then."""
        text = json.dumps(line, ensure_ascii=False)
        self._file.write(text + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._lines[line["shard"]] = text

    def _is_there(self, line: Mapping[str, Any]) -> bool:
        try:
            return bool((self.folder / str(line["shard"])).stat().st_size == line["bytes"])
        except (KeyError, OSError) as error:
            if isinstance(error, KeyError):
                raise AudiosslError(f"{self.path} is no index of shards; choose another --out.") from error
            return False


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK, "a", encoding="utf-8", opener=open_no_link) as lock:
        if not try_lock_file(lock):
            raise OutputError(f"Another process is writing shards into {folder}; wait for it, or choose another --out.")
        remove_parts(folder)
        yield
