"""Files that say what is heard when in recordings, by what they call them: CTM, TextGrids, annotation tables.

CTM       names the recording or the row on each line.
TextGrid  one file a recording, `<name>.TextGrid`, alone or at any depth below a folder.
table     an annotation table (see `audiossl.data.annotations`) with a column for the recording.

A TextGrid or a table is of a recording whose id, or whose sound file without its ending, ends with its name: `s1/a` and
`a` both name `corpus/s1/a.wav`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.ctm import CtmAlignment, read_ctm
from audiossl.data.textgrid import SUFFIX as TEXTGRID_SUFFIX
from audiossl.data.textgrid import read_textgrid

if TYPE_CHECKING:
    from lhotse.cut import Cut

CTM_SUFFIX = ".ctm"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".rttm")
_APART_S = 0.1  # by which a TextGrid may be longer or shorter than its recording

Parts = tuple[str, ...]


class AlignmentFile(Protocol):
    """What knows the alignments of recordings, on the clock of their sound files."""

    def of(self, cut: Cut) -> CtmAlignment | None:
        """That of a row's recording, or of the row. None where there is none."""

    def names_recording(self, cut: Cut) -> bool:
        """Whether it is known by its recording, rather than by the row's own name."""

    @property
    def example(self) -> str:
        """One of the names that it has, for messages."""


def is_alignment_file(name: str) -> bool:
    """Whether something names a file or a folder of alignments, rather than a tier of a manifest."""
    suffixes = (CTM_SUFFIX, TEXTGRID_SUFFIX, *TABLE_SUFFIXES)
    return name.lower().endswith(tuple(each.lower() for each in suffixes)) or (bool(name) and Path(name).is_dir())


def open_alignments(name: str, field: str = "") -> AlignmentFile:
    """The alignments in a file, or in a folder of TextGrids.

    name: its path.
    field: the tier of TextGrids.
    Raises LabelError for a folder without a TextGrid, and for a table that names no recordings.
    """
    place = Path(name)
    if place.is_dir():
        return _TextGrids(place, sorted(place.rglob(f"*{TEXTGRID_SUFFIX}")), field)
    if name.lower().endswith(CTM_SUFFIX):
        return _Ctm(read_ctm(place))
    if name.lower().endswith(TEXTGRID_SUFFIX.lower()):
        return _TextGrids(place.parent, [place], field)
    return _Table(place)


class _Ctm:
    def __init__(self, lines: Mapping[str, CtmAlignment]) -> None:
        self.lines = lines

    def of(self, cut: Cut) -> CtmAlignment | None:
        return next((self.lines[name] for name in _ids_of(cut) if name in self.lines), None)

    def names_recording(self, cut: Cut) -> bool:
        return str(cut.recording.id) in self.lines

    @property
    def example(self) -> str:
        return next(iter(self.lines))


class _Named(NamedTuple):
    """Paths of what is known by them, by the last part of each."""

    by_last: Mapping[str, list[Parts]]
    taken: dict[Parts, str]  # by whose recording

    @classmethod
    def of(cls, paths: Any) -> _Named:
        by_last: dict[str, list[Parts]] = defaultdict(list)
        for parts in paths:
            by_last[parts[-1]].append(parts)
        return cls(by_last, {})

    def find(self, cut: Cut, what: str) -> Parts | None:
        """The path that a row's recording ends with. Raises LabelError for two such, and where two recordings do."""
        names = _paths_of(cut)
        near = [(name, parts) for name in names for parts in self.by_last.get(name[-1], ())]
        fitting = {parts for name, parts in near if name[-len(parts) :] == parts}
        # Of `s1/a` and `a` the longer says more. A row's id may also be shorter than the path of its file.
        fitting = {max(fitting, key=len)} if fitting else {parts for name, parts in near if parts[-len(name) :] == name}
        if not fitting:
            return None
        found, *others = sorted(fitting)
        if others:
            said = " or ".join("/".join(each) for each in (found, others[0]))
            raise LabelError(f"Row {cut.id} could be {said} of {what}; name recordings and their alignments alike.")
        recording = str(cut.recording.id)
        if (owner := self.taken.setdefault(found, recording)) != recording:
            raise LabelError(
                f"{'/'.join(found)} of {what} could be {owner} or {recording}; name recordings by longer paths."
            )
        return found


class _TextGrids:
    def __init__(self, folder: Path, files: list[Path], tier: str) -> None:
        if not files:
            raise LabelError(
                f"{folder} has no file that ends with {TEXTGRID_SUFFIX}; name the folder that they are in."
            )
        self.folder, self.tier = folder, tier
        self.files = {path.relative_to(folder).with_suffix("").parts: path for path in files}
        self.names = _Named.of(self.files)

    def of(self, cut: Cut) -> CtmAlignment | None:
        found = self.names.find(cut, str(self.folder))
        if found is None:
            return None
        path, lasts_s = self.files[found], float(cut.recording.duration)
        alignment, said_s = read_textgrid(path, self.tier)
        if not cut.recording.transforms and abs(said_s - lasts_s) > _APART_S:
            raise LabelError(
                f"{path} is of {said_s:g} s, and recording {cut.recording.id} lasts {lasts_s:g} s: it is of another "
                f"recording or another rate; align this one."
            )
        return alignment

    def names_recording(self, cut: Cut) -> bool:
        return True

    @property
    def example(self) -> str:
        return "/".join(next(iter(self.files)))


class _Table:
    def __init__(self, path: Path) -> None:
        grouped: dict[Parts, list[Annotation]] = defaultdict(list)
        for each in read_annotations(path):
            if not each.path:
                raise LabelError(
                    f"{path} does not say of which recording it is; make a manifest of it by `audiossl data "
                    f"from-annotations`, whose rows have its labels."
                )
            grouped[_without_suffix(each.path)].append(each)
        if not grouped:
            raise LabelError(f"{path} has no annotation; give the table of the recordings.")
        self.path, self.names = path, _Named.of(grouped)
        self.found = {name: _alignment(rows) for name, rows in grouped.items()}

    def of(self, cut: Cut) -> CtmAlignment | None:
        found = self.names.find(cut, str(self.path))
        return None if found is None else self.found[found]

    def names_recording(self, cut: Cut) -> bool:
        return True

    @property
    def example(self) -> str:
        return "/".join(next(iter(self.found)))


def _alignment(rows: list[Annotation]) -> CtmAlignment:
    ordered = sorted(rows, key=lambda each: (each.start_s, each.end_s))
    starts, ends = (np.array([getattr(each, name) for each in ordered]) for name in ("start_s", "end_s"))
    return CtmAlignment(starts, ends, tuple(each.label for each in ordered), tuple(map(_fields_of, ordered)))


def _fields_of(row: Annotation) -> dict[str, str]:
    """The other columns of an annotation, its band among them."""
    band = {"low_hz": row.low_hz, "high_hz": row.high_hz}
    return {**{name: f"{value:g}" for name, value in band.items() if value is not None}, **row.fields}


def _ids_of(cut: Cut) -> Parts:
    """What a CTM file may call a row: its recording, which goes first, or itself."""
    return (*([str(cut.recording.id)] if cut.has_recording else []), str(cut.id))


def _paths_of(cut: Cut) -> list[Parts]:
    """What a file may call a row's recording: its id or the path of its sound, each without an ending."""
    names = [*_ids_of(cut), *(str(source.source) for source in cut.recording.sources if isinstance(source.source, str))]
    return [parts for name in names for parts in {_without_suffix(name), PurePath(name).parts} if parts]


def _without_suffix(name: str) -> Parts:
    parts = PurePath(name.replace("\\", "/")).parts
    return (*parts[:-1], PurePath(parts[-1]).stem) if parts else ()
