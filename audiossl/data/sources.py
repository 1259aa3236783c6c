"""Cut sets from what people have: a table (CSV), folders of sound files, a Kaldi data folder.

Every header is opened, so that a manifest states lengths to the sample. A file of many segments is opened once.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import AudioError, ManifestError, did_you_mean
from audiossl.core.terminal import progress
from audiossl.data.reading import AudioFacts, audio_facts
from audiossl.data.sound_file import ROUNDING_S

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

COLUMNS = ("path", "duration", "sample_rate", "speaker", "label", "transcript", "language", "split", "start", "end")
SPLIT_FOLDERS = {"train": "train", "dev": "dev", "valid": "dev", "val": "dev", "test": "test"}
SOUND_SUFFIXES = (".aif", ".aiff", ".au", ".flac", ".mp3", ".ogg", ".opus", ".sph", ".w64", ".wav")


class _Row(NamedTuple):
    """A row on its way to become a cut.

    where: its place, for messages.
    split: where it goes.
    name: the cut's id, '' to make one of the path.
    fields: by column name, all text.
    """

    where: str
    split: str
    name: str
    fields: Mapping[str, str]


def cuts_from_csv(
    csv_path: str | Path, *, audio_root: str | Path | None = None, columns: Mapping[str, str] | None = None
) -> dict[str, CutSet]:
    """Cut sets by split from a table with a header row (UTF-8, with or without a byte-order mark).

    Columns: path (relative to `audio_root`, or to the table's folder), and optionally duration, sample_rate, speaker,
    label, transcript, language, split (rows without one go to 'all'), start and end in seconds. Every other column is
    kept in `custom`.

    columns: the table's own name for some of these, for instance {"path": "filename"}.
    Raises ManifestError or AudioError that names the table, the line and the fix.
    """
    table = Path(csv_path)
    names = {own: column for column, own in (columns or {}).items()}
    rows = []
    for where, row in _csv_rows(table, columns or {}):
        fields = {names.get(key, key): value.strip() for key, value in row.items()}
        rows.append(_Row(where, fields.get("split") or "all", "", fields))
    return _cut_sets(rows, Path(audio_root) if audio_root is not None else table.parent, table)


def cuts_from_folder(
    folder: str | Path, *, labels_from_parent: bool = True, split: tuple[float, float] | None = None, seed: int = 0
) -> dict[str, CutSet]:
    """Cut sets by split of all sound files below a folder.

    folder: if its own folders are named train, dev (or valid, val) and test, these are the splits.
    labels_from_parent: whether the name of the folder that a file lies in is its label.
    split: the shares of dev and test in each label, where folders are not splits. None for all rows in 'all'.
    seed: of what is drawn.
    Raises ManifestError for a folder without sound, and for shares where its folders are splits.
    """
    top = Path(folder)
    files = sorted(path.relative_to(top) for path in top.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    if not files:
        what = "holds no sound file" if top.is_dir() else "is not a folder"
        raise ManifestError(f"{top} {what}; give a folder with {', '.join(SOUND_SUFFIXES)} files.")
    named = [SPLIT_FOLDERS.get(file.parts[0].lower(), "") if len(file.parts) > 1 else "" for file in files]
    by_name = all(named)
    if by_name and split is not None:
        raise ManifestError(f"The folders of {top} are already named after splits; leave the shares out.")
    # A file directly below the top, or below a split's folder, lies in no folder that could be a label.
    depth = 2 if by_name else 1
    labels = [file.parent.name if labels_from_parent and len(file.parts) > depth else "" for file in files]
    splits = named if by_name else _drawn_splits(labels, split, seed)
    rows = [
        _Row(str(top / file), name, "", {"path": str(file), "label": label})
        for file, name, label in zip(files, splits, labels, strict=True)
    ]
    return _cut_sets(rows, top, top)


def cuts_from_kaldi(folder: str | Path) -> dict[str, CutSet]:
    """Cut sets of a Kaldi data folder: wav.scp (plain paths only), and text, utt2spk and segments where present.

    A folder of such folders (train, dev, test) gives one split for each. A single one gives the split 'all'.
    Relative paths are relative to the working directory, as Kaldi has it.
    """
    top = Path(folder)
    places = {path.parent.name: path.parent for path in sorted(top.glob("*/wav.scp"))}
    if (top / "wav.scp").is_file() or not places:
        places = {"all": top}
    rows = [row for split, place in places.items() for row in _kaldi_rows(place, split)]
    return _cut_sets(rows, Path(), top)


def cuts_from_files(paths: Sequence[Path], names: Sequence[str]) -> CutSet:
    """One cut for each whole file, with the given ids and nothing known but the sound. Raises AudioError."""
    rows = [_Row(str(path), "all", name, {"path": str(path)}) for path, name in zip(paths, names, strict=True)]
    return _cut_sets(rows, Path(), paths[0])["all"]


def cuts_from_rows(rows: Iterable[tuple[str, str, Mapping[str, str]]], root: Path) -> dict[str, CutSet]:
    """Cut sets by split of rows.

    rows: (where, id, fields) of each: its place, for messages, its id or '', and its columns as `cuts_from_csv` has
        them.
    root: what paths are relative to.
    Raises ManifestError, AudioError.
    """
    made = [_Row(where, fields.get("split") or "all", name, fields) for where, name, fields in rows]
    return _cut_sets(made, root, root)


def _cut_sets(rows: Sequence[_Row], root: Path, source: Path) -> dict[str, CutSet]:
    from lhotse import CutSet

    if not rows:
        raise ManifestError(f"{source} has no row; nothing can be made of it.")
    facts = lru_cache(maxsize=100_000)(audio_facts)
    places: dict[tuple[str, str], str] = {}
    groups: dict[str, list[Cut]] = defaultdict(list)
    for row in progress(rows, f"Reading {source.name}"):
        cut = _cut(row, root, facts)
        if "/" in row.split or row.split.startswith("."):
            raise ManifestError(f"{row.where}: the split {row.split!r} cannot be the name of a file; rename it.")
        if (first := places.setdefault((row.split, cut.id), row.where)) != row.where:
            raise ManifestError(f"{row.where}: {cut.id} is there already ({first}), a duplicate; keep one of them.")
        groups[row.split].append(cut)
    return {split: CutSet.from_cuts(cuts) for split, cuts in groups.items()}


def _cut(row: _Row, root: Path, facts: Callable[[Path], AudioFacts]) -> Cut:
    from lhotse import MonoCut, Recording, SupervisionSegment
    from lhotse.audio import AudioSource

    where, fields = row.where, row.fields
    if not fields["path"]:
        raise ManifestError(f"{where} has no path; fill it in, or drop the row.")
    path = (root / fields["path"]).resolve()
    try:
        num_samples, rate, _ = facts(path)
    except AudioError as error:
        raise AudioError(f"{where}: {error}") from error
    first, last = _span(where, fields, path, num_samples, rate)
    stem = Path(fields["path"]).with_suffix("").as_posix()
    part = "" if (first, last) == (0, num_samples) else f"-{first / rate:.3f}-{last / rate:.3f}"
    recording = Recording(
        id=stem,
        sources=[AudioSource("file", [0], str(path))],  # one channel, whatever the file has: reading averages them
        sampling_rate=rate,
        num_samples=num_samples,
        duration=num_samples / rate,
    )
    custom = {key: value for key, value in fields.items() if key and key not in COLUMNS}
    supervision = SupervisionSegment(
        id=row.name or stem + part,
        recording_id=stem,
        start=0.0,
        duration=(last - first) / rate,
        text=fields.get("transcript") or None,
        speaker=fields.get("speaker") or None,
        language=fields.get("language") or None,
        custom={**custom, "label": fields["label"]} if fields.get("label") else custom or None,
    )
    return MonoCut(
        id=supervision.id,
        start=first / rate,
        duration=supervision.duration,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def _span(where: str, fields: Mapping[str, str], path: Path, num_samples: int, rate: int) -> tuple[int, int]:
    """First and last sample (exclusive) of a row, after a check of what the row states against the file.

    where: the row's place, for messages.
    fields: of the row.
    path: the file.
    num_samples: of the file.
    rate: of the file, in Hz.
    Raises ManifestError for a rate, a duration or a part that the file does not have.
    """
    stated_rate, stated_s = _number(where, fields, "sample_rate"), _number(where, fields, "duration")
    if stated_rate is not None and stated_rate != rate:
        raise ManifestError(
            f"{where}: sample_rate says {stated_rate:g} Hz, but {path} has {rate} Hz; correct or empty the column."
        )
    length_s = num_samples / rate
    start, end = _number(where, fields, "start") or 0.0, _number(where, fields, "end")
    if end is None:
        end = start + stated_s if start > 0 and stated_s is not None else length_s
    if not 0 <= start < end or end > length_s + ROUNDING_S or start >= length_s:
        raise ManifestError(
            f"{where}: start {start:g} s to end {end:g} s is no part of {path}, which lasts {length_s:.3f} s; correct "
            f"the columns start and end."
        )
    # With start and end, a table gives the duration of either the part or the file.
    if stated_s is not None and min(abs(stated_s - (end - start)), abs(stated_s - length_s)) > ROUNDING_S:
        raise ManifestError(
            f"{where}: duration says {stated_s:g} s, but {path} lasts {length_s:.3f} s; correct or empty the column."
        )
    first, last = round(start * rate), min(round(end * rate), num_samples)
    if last <= first:
        raise ManifestError(f"{where}: start {start:g} s to end {end:g} s is shorter than a sample; correct them.")
    return first, last


def _number(where: str, fields: Mapping[str, str], column: str) -> float | None:
    text = fields.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ManifestError(f"{where}: {column} is {text!r}, not a number; correct it, or leave it empty.")
    return value


def _csv_rows(table: Path, columns: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, row by the table's own column names) of each row."""
    if not table.is_file():
        raise ManifestError(f"There is no table {table}; give the path of a CSV file with a path column.")
    for column in columns:
        if column not in COLUMNS:
            raise ManifestError(f"{column!r} is no column that can be renamed. {did_you_mean(column, COLUMNS)}")
    try:
        # utf-8-sig takes away the mark that Excel puts first, which would be a part of the first column's name.
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or [])
            for own in {columns.get("path", "path"), *columns.values()}:
                if own not in header:
                    raise ManifestError(
                        f"{table} has no column {own!r} (its header: {', '.join(header) or 'none'}); add it, or name "
                        f"the column to use instead."
                    )
            # csv fills up a short line with None, and puts what a long one has too much under None.
            for row in reader:
                where = f"{table} line {reader.line_num}"
                if None in row or None in row.values():
                    raise ManifestError(
                        f"{where} does not have the {len(header)} fields of the header; quote fields with a comma."
                    )
                yield where, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{table} is not a CSV file in UTF-8 ({error}); save it as one.") from error


def _drawn_splits(labels: Sequence[str], split: tuple[float, float] | None, seed: int) -> list[str]:
    if split is None:
        return ["all"] * len(labels)
    if min(split) < 0 or sum(split) >= 1:
        raise ManifestError(f"The shares of dev and test, {split}, must not be negative and must leave some for train.")
    members: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    drawn = ["train"] * len(labels)
    for label, indices in members.items():
        random.Random(f"{seed} {label}").shuffle(indices)
        num_dev, num_test = (round(share * len(indices)) for share in split)
        for order, index in enumerate(indices[: num_dev + num_test]):
            drawn[index] = "dev" if order < num_dev else "test"
    return drawn


def _kaldi_rows(place: Path, split: str) -> Iterator[_Row]:
    if not (place / "wav.scp").is_file():
        raise ManifestError(f"There is no {place / 'wav.scp'}; give a Kaldi data folder, or a folder of them.")
    wavs = {key: (where, path) for where, key, path in _kaldi_table(place / "wav.scp")}
    texts = {key: text for _, key, text in _kaldi_table(place / "text")}
    speakers = {key: speaker for _, key, speaker in _kaldi_table(place / "utt2spk")}
    segments: Iterable[tuple[str, str, str]] = ((where, key, key) for key, (where, _) in wavs.items())
    if (place / "segments").is_file():
        segments = _kaldi_table(place / "segments")
    for where, key, value in segments:
        recording, *times = [value] if value in wavs else value.split()
        if len(times) not in (0, 2) or recording not in wavs:
            raise ManifestError(f"{where}: {value!r} is not `recording start end` with a recording of wav.scp.")
        wav_where, path = wavs[recording]
        if "|" in path:
            raise ManifestError(
                f"{wav_where}: {path!r} is a command, which is not run; write its output to sound files first and "
                f"list their paths."
            )
        start, end = times or ("", "")
        end = "" if end == "-1" else end  # to the end of the recording
        fields = {"path": path, "transcript": texts.get(key, ""), "speaker": speakers.get(key, "")}
        yield _Row(where, split, key, {**fields, "start": start, "end": end})


def _kaldi_table(path: Path) -> Iterator[tuple[str, str, str]]:
    """(place, key, rest) of each line. Nothing where there is no such file."""
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not text in UTF-8 ({error}); save it as such.") from error
    for number, line in enumerate(lines, start=1):
        key, *rest = line.strip().split(maxsplit=1)[:2] or [""]
        if key:
            yield f"{path} line {number}", key, rest[0].strip() if rest else ""
