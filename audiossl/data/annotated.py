"""Manifests from annotations: a row for each call, or windows over whole recordings with all that is in them."""

from __future__ import annotations

import glob
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.annotations import Annotation, Kind, read_annotations
from audiossl.data.fields import LABEL_SEPARATOR
from audiossl.data.folders import readable_suffixes, sounds_below
from audiossl.data.reading import AudioFacts, audio_facts
from audiossl.data.sound_file import ROUNDING_S
from audiossl.data.sources import cuts_from_files, cuts_from_rows
from audiossl.data.tables import SourceRow, local_path
from audiossl.data.turns import Turn, joined, with_turns

if TYPE_CHECKING:
    from lhotse import CutSet


@dataclass(frozen=True)
class Windows:
    """Windows over a recording.

    window_s: their length.
    hop_s: the step from one to the next. The last one ends with the recording, so that all of it is covered.
    min_overlap: share that makes a call one of a window's: of the call, or of the window where the call is the longer
        of the two.
    short: what becomes of a recording that is shorter than a window. 'error' refuses it, 'keep' makes one window of its
        own length (no padding is needed: an encoder takes any length).
    Raises ManifestError for lengths or a share that make no windows.
    """

    window_s: float = 1.0
    hop_s: float = 0.5
    min_overlap: float = 0.5
    short: Literal["error", "keep"] = "error"

    def __post_init__(self) -> None:
        if not (self.window_s > 0 and 0 < self.hop_s <= self.window_s and 0 < self.min_overlap <= 1):
            raise ManifestError(
                f"window_s={self.window_s:g}, hop_s={self.hop_s:g}, min_overlap={self.min_overlap:g}: a window must be "
                f"longer than 0, the hop no longer than the window, the overlap above 0 and at most 1."
            )
        if self.short not in ("error", "keep"):
            raise ManifestError(f"short={self.short!r}: choose error or keep.")

    def spans(self, duration_s: float, what: str = "The recording") -> list[tuple[float, float]]:
        """(start, end) of each window of a recording, in seconds. Raises ManifestError for one that is too short.

        >>> Windows(1.0, 0.5).spans(2.2)
        [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.2000000000000002, 2.2)]
        """
        if duration_s < self.window_s - 1e-6:
            if self.short == "keep":
                return [(0.0, duration_s)]
            raise ManifestError(
                f"{what} lasts {duration_s:.3f} s, less than a window of {self.window_s:g} s; take shorter "
                f"windows, leave it out, or keep it as one short window (short=keep)."
            )
        count = math.floor((duration_s - self.window_s) / self.hop_s + 1e-6) + 1
        spans = [(number * self.hop_s, number * self.hop_s + self.window_s) for number in range(count)]
        if spans[-1][1] < duration_s - 1e-3:
            spans.append((duration_s - self.window_s, duration_s))
        return spans

    def labels(self, start_s: float, end_s: float, annotations: Iterable[Annotation]) -> list[str]:
        """Sorted labels of the calls that lie in a window by enough."""
        found = set()
        for call in annotations:
            shared = min(end_s, call.end_s) - max(start_s, call.start_s)
            if shared >= self.min_overlap * min(call.end_s - call.start_s, end_s - start_s) - 1e-9:
                found.add(call.label)
        return sorted(found)


# One window for each recording, with all of its calls.
WHOLE = Windows(window_s=1e9, hop_s=1e9, short="keep")


def read_tables(
    tables: Iterable[Path],
    *,
    root: Path,
    audio: Path | None = None,
    kind: Kind | None = None,
    columns: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> tuple[list[Annotation], dict[Path, str]]:
    """The annotations of several tables as `located` gives them, and the recording of each table that has none.

    A table with a header alone says that nobody calls in its recording.

    tables: the files.
    root, audio: as `located` takes them.
    kind, columns, encoding: as `read_annotations` takes them.
    Raises ManifestError, AudioError.
    """
    found: list[Annotation] = []
    silent: dict[Path, str] = {}
    for table in tables:
        read = read_annotations(table, kind, columns=columns, encoding=encoding)
        if read:
            found += located(read, root=root, audio=audio, table=table)
        else:
            silent[table] = str(audio or _file_of(table, root))
    return found, silent


def located(
    annotations: Iterable[Annotation],
    *,
    root: str | Path = ".",
    audio: str | Path | None = None,
    table: str | Path | None = None,
) -> list[Annotation]:
    """The annotations with a `path` that is a sound file, inside which they lie.

    annotations: as they are read from a table.
    root: the folder below which their paths are. A path may also (as Raven has it) be the name of a file anywhere
        below it.
    audio: the recording of those that name none.
    table: where the annotations come from. Without `audio` it gives the recording of those that name none, by the
        beginning of its own name: day1.flac below `root` for day1.Table.1.selections.txt.
    Raises ManifestError for a recording that is not found or an annotation outside it, AudioError for one that cannot
    be read.
    """
    folder = Path(root)
    whole: str | None = str(audio) if audio is not None else None
    found: dict[str, str] = {}
    facts: dict[str, AudioFacts] = {}
    rows = []
    for row in annotations:
        # Looked for when the first annotation without a path comes: a table that names its recordings needs no other.
        if not row.path and whole is None:
            whole = str(_file_of(Path(table) if table is not None else None, folder))
        if row.path and row.path not in found:
            found[row.path] = str(_below(row.path, folder, row.where))
        path = found[row.path] if row.path else str(whole)
        # Each recording is opened once, however many annotations it has.
        try:
            facts[path] = facts.get(path) or audio_facts(path)
        except AudioError as error:
            raise AudioError(f"{row.where}: {error}") from error
        rows.append(_inside(replace(row, path=path), facts[path]))
    return rows


def cuts_of_calls(annotations: Sequence[Annotation], root: str | Path = ".") -> dict[str, CutSet]:
    """Cut sets by split (a column `split`, else all rows in 'all') with a row for each call. See `located`.

    The label is the call's, its band lies in `low_hz` and `high_hz`, other columns are kept. In a file with several
    channels the row is of the call's own, where the table says it. Ids are paths below `root` with start and end.
    Raises ManifestError for an annotation that is there twice.
    """
    seen: dict[tuple[object, ...], str] = {}
    places: dict[tuple[str, float, float, int | None], int] = defaultdict(int)
    rows = []
    for call in annotations:
        key = (call.path, call.start_s, call.end_s, call.channel, call.label, call.low_hz, call.high_hz)
        if key in seen:
            raise ManifestError(
                f"{call.where}: the same annotation is there already ({seen[key]}); delete one of them."
            )
        seen[key] = call.where
        places[key[:4]] += 1
        number = places[key[:4]]
        again = "" if number == 1 else f"-{number}"  # two calls at once, of other labels or in other bands
        side = "" if call.channel is None else f"-channel{call.channel}"
        path = _below_root(call.path, root)
        name = f"{Path(path).with_suffix('').as_posix()}-{call.start_s:.3f}-{call.end_s:.3f}{side}{again}"
        fields = {"path": path, "start": str(call.start_s), "end": str(call.end_s), "label": call.label}
        band = {"low_hz": call.low_hz, "high_hz": call.high_hz}
        fields |= {column: f"{value:g}" for column, value in band.items() if value is not None}
        channel = None if call.channel is None else call.channel - 1
        rows.append(SourceRow(call.where, name, {**_others(call), **fields}, channel))
    return cuts_from_rows(rows, Path(root))


def cuts_of_windows(
    annotations: Sequence[Annotation],
    windows: Windows,
    recordings: Iterable[str | Path] = (),
    root: str | Path = ".",
) -> dict[str, CutSet]:
    """Cut sets by split with a row for each window of each recording, of the mean of its channels.

    The label lists those of a window's calls, sorted, with `|` between them: nothing where it has none. `calls` has the
    start, end (within the recording, in seconds) and label of what the window touches. Columns that have one value for
    all calls of a recording (`split`, for instance) are kept.

    annotations: the calls, as `located` gives them.
    windows: how recordings are cut.
    recordings: further ones, in which there may be no call.
    root: the folder below which paths and ids are.
    Raises ManifestError for a label with a `|`.
    """
    by_path: dict[str, list[Annotation]] = {str(path): [] for path in recordings}
    for call in annotations:
        if LABEL_SEPARATOR in call.label:
            raise ManifestError(
                f"{call.where}: the label {call.label!r} has a {LABEL_SEPARATOR}, which stands between the labels of a "
                f"window; rename it."
            )
        by_path.setdefault(call.path, []).append(call)
    rows = []
    calls_of: dict[str, list[list[float | str]]] = {}
    for path, calls in by_path.items():
        num_samples, rate, _ = audio_facts(path)
        shared, below = _shared(calls), _below_root(path, root)
        for start_s, end_s in windows.spans(num_samples / rate, path):
            name = f"{Path(below).with_suffix('').as_posix()}-{start_s:.3f}-{end_s:.3f}"
            label = LABEL_SEPARATOR.join(windows.labels(start_s, end_s, calls))
            fields = {**shared, "path": below, "start": str(start_s), "end": str(end_s), "label": label}
            rows.append(SourceRow(path, name, fields))
            touched = [call for call in calls if call.start_s < end_s and call.end_s > start_s]
            calls_of[name] = [[call.start_s, call.end_s, call.label] for call in touched]
    splits = cuts_from_rows(rows, Path(root))
    for cuts in splits.values():
        for cut in cuts:
            custom = dict(cut.supervisions[0].custom or {})
            # A window without a call says so: a row without the field is one that nobody has annotated.
            cut.supervisions[0].custom = {**custom, "label": custom.get("label", ""), "calls": calls_of[cut.id]}
    return splits


def cuts_of_recordings(turns: Sequence[Annotation], root: str | Path = ".", split: str = "all") -> CutSet:
    """A row for each recording, of the mean of its channels, with a supervision for each turn of a speaker.

    turns: with speakers for labels, as `located` gives them.
    root: the folder below which ids are.
    split: what messages call them.
    Raises ManifestError for no turn.
    """
    from lhotse import CutSet

    by_path: dict[str, list[Turn]] = defaultdict(list)
    for each in turns:
        by_path[each.path].append(Turn(each.start_s, each.end_s, each.label))
    if not by_path:
        raise ManifestError(f"The RTTM file of {split} has no turn, so nobody says who speaks; give one with turns.")
    names = [Path(_below_root(path, root)).with_suffix("").as_posix() for path in by_path]
    cuts = cuts_from_files([Path(path) for path in by_path], names)
    return CutSet.from_cuts(with_turns(cut, joined(mine)) for cut, mine in zip(cuts, by_path.values(), strict=True))


def _below_root(path: str, root: str | Path) -> str:
    """A path as it is below the root, by which ids do not depend on where the root lies. Else the whole path."""
    place, folder = Path(path).resolve(), Path(root).resolve()
    return (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()


def _others(call: Annotation) -> dict[str, str]:
    return {name: value for name, value in call.fields.items() if name != "id"}


def _shared(calls: Sequence[Annotation]) -> dict[str, str]:
    """Columns that say the same of all calls of a recording."""
    if not calls:
        return {}
    first = _others(calls[0])
    return {name: value for name, value in first.items() if all(call.fields.get(name) == value for call in calls)}


def _inside(row: Annotation, facts: AudioFacts) -> Annotation:
    if (row.channel or 1) > facts.num_channels:
        raise ManifestError(
            f"{row.where}: channel {row.channel} of {row.path}, which has {facts.num_channels}; correct it, or leave "
            f"the column out with --column channel=."
        )
    length_s = facts.num_samples / facts.sample_rate_hz
    if row.start_s >= length_s or row.end_s > length_s + ROUNDING_S:
        raise ManifestError(
            f"{row.where}: {row.start_s:g} s to {row.end_s:g} s is outside {row.path}, which lasts {length_s:.3f} s; "
            f"correct the times, or the name of the recording."
        )
    return replace(row, end_s=min(row.end_s, length_s), channel=row.channel if facts.num_channels > 1 else None)


def _below(path: str, root: Path, where: str) -> Path:
    """A path of a table: as it is, below the root, or by its name alone, with or without its ending, below the root."""
    name = local_path(path, root)
    for place in (root / name, Path(name)):
        if place.is_file():
            return place
    found = sorted(root.rglob(glob.escape(Path(name).name)))
    found = found or [each for each in sounds_below(root) if each.stem == Path(name).name]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} files have that name" if found else "there is no such sound file"
    raise ManifestError(f"{where}: {path!r}: {what} below {root}; correct the path, or name the folder (--audio-root).")


def _file_of(table: Path | None, root: Path) -> Path:
    """The recording that a table is named after."""
    if table is None:
        raise ManifestError("These annotations name no recording; give it (audio).")
    parts = table.name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        stem = ".".join(parts[:length])
        found = sorted(p for p in root.rglob(f"{glob.escape(stem)}.*") if p.suffix.lower() in readable_suffixes())
        if len(found) == 1:
            return found[0]
        if found:
            raise ManifestError(f"{table} could be of {found[0]} or of {found[1]}; name the recording (--audio).")
    raise ManifestError(
        f"{table} names no recording, and below {root} is no sound file named {parts[0]}; name it with --audio."
    )


def recordings_below(root: str | Path) -> list[str]:
    """All sound files below a folder, sorted."""
    return [str(path) for path in sounds_below(root)]
