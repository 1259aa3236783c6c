"""Cut sets from what people have: a table (CSV), folders of sound files, a Kaldi data folder.

Every header is opened, so that a manifest states lengths to the sample. A file of many segments is opened once.
"""

from __future__ import annotations

import logging
import os
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import AudioError, ManifestError, did_you_mean
from audiossl.core.terminal import progress
from audiossl.data.bad_rows import BadRows
from audiossl.data.folders import no_sound_in, sounds_below
from audiossl.data.kaldi import kaldi_rows
from audiossl.data.reading import AudioFacts, audio_facts
from audiossl.data.sound_file import ROUNDING_S
from audiossl.data.tables import Numbers, SourceRow, local_path, parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)

COLUMNS = ("path", "duration", "sample_rate", "speaker", "label", "transcript", "language", "split", "start", "end")
_NUMBERS = ("duration", "sample_rate", "start", "end")
# What people call a split, in small letters. Any other name is kept as it is.
_SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "val", "valid", "validation"),
    "test": ("test", "testing"),
}


def split_name(text: str) -> str:
    """The split that a table or a folder means, as manifests are named.

    >>> split_name("Validation"), split_name("testing"), split_name("session 3")
    ('dev', 'test', 'session 3')
    """
    return next((split for split, names in _SPLITS.items() if text.lower() in names), text)


def cuts_from_csv(
    csv_path: str | Path,
    *,
    audio_root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    bad: BadRows | None = None,
) -> dict[str, CutSet]:
    """Cut sets by split from a table with a header row: UTF-8, with commas, semicolons or tabs (see `parse_table`).

    Columns: path (relative to `audio_root`, or to the table's folder), and optionally duration, sample_rate, speaker,
    label, transcript, language, split (rows without one go to 'all', see `split_name`), start and end in seconds. Every
    other column is kept in `custom`.

    csv_path: the table.
    audio_root: what paths are relative to. None for the table's folder.
    columns: the table's own name for some of these, for instance {"path": "filename"}. '' leaves a column out.
    bad: what becomes of rows that cannot be used. None for an error.
    Raises ManifestError or AudioError that names the table, the line and the fix.
    """
    table, bad = Path(csv_path), bad or BadRows()
    found = parse_table(table, read_text(table, "table"), bad=bad)
    named = dict(columns or {})
    check_names(table, found.header, named)
    left_out, numbers = {*named, *named.values()}, Numbers(found.delimiter)
    rows = []
    for where, row in found.rows:
        fields = {key: value for key, value in row.items() if key not in left_out}
        fields |= {column: row[own] for column, own in named.items() if own}
        with bad.of(where):
            fields |= {key: repr(numbers(where, key, fields[key])) for key in _NUMBERS if fields.get(key)}
            rows.append(SourceRow(where, "", fields))
    return cuts_from_rows(rows, Path(audio_root) if audio_root is not None else table.parent, table, bad)


def cuts_from_folder(
    folder: str | Path,
    *,
    labels_from_parent: bool = True,
    split: tuple[float, float] | None = None,
    seed: int = 0,
    bad: BadRows | None = None,
) -> dict[str, CutSet]:
    """Cut sets by split of all sound files below a folder.

    folder: if its own folders are named after splits (see `split_name`), these are the splits.
    labels_from_parent: whether the name of the folder that a file lies in is its label.
    split: the shares of dev and test in each label, where folders are not splits. None for all rows in 'all'.
    seed: of what is drawn.
    bad: what becomes of files that cannot be read. None for an error.
    Raises ManifestError for a folder without sound, and for shares where its folders are splits.
    """
    top = Path(folder)
    files = [path.relative_to(top) for path in sounds_below(top)]
    if not files:
        raise ManifestError(no_sound_in(top))
    by_name = all(len(file.parts) > 1 and split_name(file.parts[0]) in _SPLITS for file in files)
    if by_name and split is not None:
        raise ManifestError(f"The folders of {top} are already named after splits; leave the shares out.")
    # A file directly below the top, or below a split's folder, lies in no folder that could be a label.
    depth = 2 if by_name else 1
    labels = [file.parent.name if labels_from_parent and len(file.parts) > depth else "" for file in files]
    splits = [file.parts[0] for file in files] if by_name else _drawn_splits(labels, split, seed)
    rows = [
        SourceRow(str(top / file), "", {"path": str(file), "label": label, "split": name})
        for file, name, label in zip(files, splits, labels, strict=True)
    ]
    return cuts_from_rows(rows, top, top, bad)


def cuts_from_kaldi(folder: str | Path, *, bad: BadRows | None = None) -> dict[str, CutSet]:
    """Cut sets of a Kaldi data folder, as `kaldi_rows` reads it.

    A folder of such folders (train, dev, test) gives one split for each. A single one gives the split 'all'.
    Relative paths are relative to the working directory, as Kaldi has it. `bad` says what becomes of recordings that
    cannot be read, None for an error. Raises ManifestError, AudioError.
    """
    top = Path(folder)
    places = {path.parent.name: path.parent for path in sorted(top.glob("*/wav.scp"))}
    if (top / "wav.scp").is_file() or not places:
        places = {"all": top}
    rows = [row for split, place in places.items() for row in kaldi_rows(place, split)]
    return cuts_from_rows(rows, Path(), top, bad)


def cuts_from_files(paths: Sequence[Path], names: Sequence[str], bad: BadRows | None = None) -> CutSet:
    """One cut for each whole file, with the given ids and nothing known but the sound. Raises AudioError.

    bad: what becomes of files that cannot be used. None for an error.
    """
    rows = [SourceRow(str(path), name, {"path": str(path)}) for path, name in zip(paths, names, strict=True)]
    return cuts_from_rows(rows, Path(), paths[0], bad)["all"]


def cuts_from_rows(
    rows: Iterable[SourceRow], root: Path, source: str | Path | None = None, bad: BadRows | None = None
) -> dict[str, CutSet]:
    """Cut sets by split of rows, whose fields are the columns of `cuts_from_csv`.

    rows: all of them.
    root: what paths are relative to.
    source: what messages call where they come from, `root` where it is left out.
    bad: what becomes of rows that cannot be used. None for an error.
    Raises ManifestError, AudioError.
    """
    from lhotse import CutSet

    listed, name, bad = list(rows), Path(source or root), bad or BadRows()
    if not listed:
        raise ManifestError(f"{name} has no row; nothing can be made of it.")
    facts = lru_cache(maxsize=100_000)(audio_facts)
    places: dict[tuple[str, str], str] = {}
    spellings: dict[str, tuple[str, str]] = {}
    groups: dict[str, list[Cut]] = defaultdict(list)
    for row in progress(listed, f"Reading {name.name}"):
        with bad.of(row.where):
            split = _split_of(row, spellings)
            cut = _cut(row, root, facts)
            if (first := places.setdefault((split, cut.id), row.where)) != row.where:
                raise ManifestError(f"{row.where}: {cut.id} is there already ({first}), a duplicate; keep one of them.")
            groups[split].append(cut)
    if not groups:
        where, why = next(iter(bad.left_out.items()))
        raise ManifestError(f"{name} has no row that can be used, the first: {where}: {why}")
    return {split: CutSet.from_cuts(cuts) for split, cuts in groups.items()}


def _split_of(row: SourceRow, spellings: dict[str, tuple[str, str]]) -> str:
    """The split of a row, after a check against the rows before it.

    spellings: what the first row of each split calls it, and where that is.
    """
    text = row.fields.get("split") or "all"
    split = split_name(text)
    if "/" in split or split.startswith(".") or len(split.encode()) > 100:
        raise ManifestError(f"{row.where}: the split {split[:100]!r} cannot be the name of a file; rename it.")
    # 'dev' and 'val' in one source may be meant as two.
    first, where = spellings.setdefault(split, (text, row.where))
    if first.lower() != text.lower():
        raise ManifestError(
            f"{row.where}: the split {text!r} and the split {first!r} ({where}) are both {split}.jsonl.gz; rename one."
        )
    return split


def _cut(row: SourceRow, root: Path, facts: Callable[[Path], AudioFacts]) -> Cut:
    from lhotse import MonoCut, Recording, SupervisionSegment
    from lhotse.audio import AudioSource

    where, fields = row.where, row.fields
    if not fields.get("path"):
        raise ManifestError(f"{where} has no path; fill it in, or drop the row.")
    name = local_path(fields["path"], root)
    path = Path(os.path.realpath(root / name))  # which a circle of links is no error for, until it is opened
    try:
        num_samples, rate, num_channels = facts(path)
    except AudioError as error:
        raise AudioError(str(error) if where in (name, str(path)) else f"{where}: {error}") from error
    first, last = _span(where, fields, path, num_samples, rate)
    # One channel, whatever the file has: reading averages them. Only a row of one channel lists all.
    one = row.channel is not None and num_channels > 1
    channel = _channel(row, path, num_channels) if one else 0
    stem = Path(name).with_suffix("").as_posix()
    part = "" if (first, last) == (0, num_samples) else f"-{first / rate:.3f}-{last / rate:.3f}"
    recording = Recording(
        id=stem,
        sources=[AudioSource("file", list(range(num_channels)) if one else [0], str(path))],
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
        channel=channel,
        text=fields.get("transcript") or None,
        speaker=fields.get("speaker") or None,
        language=fields.get("language") or None,
        custom={**custom, "label": fields["label"]} if fields.get("label") else custom or None,
    )
    return MonoCut(
        id=supervision.id,
        start=first / rate,
        duration=supervision.duration,
        channel=channel,
        recording=recording,
        supervisions=[supervision],
    )


def _channel(row: SourceRow, path: Path, num_channels: int) -> int:
    assert row.channel is not None
    if row.channel >= num_channels:
        raise ManifestError(
            f"{row.where}: {path} has {num_channels} channels, so there is no channel {row.channel + 1}; correct it."
        )
    return row.channel


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
    return Numbers()(where, column, text) if text else None


def check_names(
    table: str | Path, header: Collection[str], columns: Mapping[str, str], known: Collection[str] = COLUMNS
) -> None:
    """Raise ManifestError for a column that is named or needed, and is not there.

    table: for messages.
    header: its columns.
    columns: the table's own names for ours.
    known: all of ours.
    """
    for column in columns:
        if column not in known:
            raise ManifestError(f"{column!r} is no column that can be renamed. {did_you_mean(column, known)}")
    for own in dict.fromkeys((columns.get("path", "path"), *filter(None, columns.values()))):
        if own not in header:
            raise ManifestError(
                f"{table} has no column {own!r} (its header: {', '.join(header) or 'none'}); add it, or name the "
                f"column to use instead, as in --column path=filename."
            )
    for column, own in columns.items():
        if own and own != column and column in header and column not in columns.values():
            _log.warning("%s: its column %r is not read, as %r takes its place.", table, column, own)


def _drawn_splits(labels: Sequence[str], split: tuple[float, float] | None, seed: int) -> list[str]:
    if split is None:
        return ["all"] * len(labels)
    if not (min(split) >= 0 and sum(split) < 1):  # so that NaN is none
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
