"""Annotation tables: where in a recording something is heard, and what.

Three kinds are read and written:

raven     selection tables of Raven: tabs between columns, `Begin Time (s)`, `End Time (s)`, frequencies in Hz, and one
          column with the label. A selection that is listed for the waveform and for the spectrogram counts once.
audacity  label tracks of Audacity: start, tab, end, tab, label. A line that begins with a backslash has the lowest and
          the highest frequency of the label above it.
csv       a header with a path, a start, an end and a label. Every other column is kept.

`audiossl.data.annotated` makes manifests of them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from audiossl.core.errors import ManifestError, did_you_mean
from audiossl.core.files import atomic_write

Kind = Literal["raven", "audacity", "csv"]
KINDS: tuple[Kind, ...] = ("raven", "audacity", "csv")
# What a column is called where the user does not say, in the order in which they are looked for.
_RAVEN = {
    "start": ("Begin Time (s)",),
    "end": ("End Time (s)",),
    "label": ("Annotation", "Label", "Species", "Call Type", "Type"),
    "path": ("Begin Path", "Begin File"),
    "low_hz": ("Low Freq (Hz)",),
    "high_hz": ("High Freq (Hz)",),
}
_CSV = {
    "start": ("start", "onset", "begin", "start_s", "Begin Time (s)"),
    "end": ("end", "offset", "end_s", "End Time (s)"),
    "label": ("label", "annotation", "species", "calltype", "call_type"),
    "path": ("path", "file", "filename", "recording"),
    "low_hz": ("low_hz", "Low Freq (Hz)"),
    "high_hz": ("high_hz", "High Freq (Hz)"),
}
_OF_VIEWS = ("Selection", "View", "Channel")  # Raven's own bookkeeping
_OPTIONAL = ("path", "low_hz", "high_hz")


@dataclass(frozen=True)
class Annotation:
    """One call (or whatever else) in a recording.

    start_s, end_s: from the file's beginning.
    label: what it is.
    path: the sound file, as the table names it, '' where it does not.
    low_hz, high_hz: its band, where known.
    score: of a prediction.
    where: its place in the table, for messages.
    fields: the table's other columns.
    """

    start_s: float
    end_s: float
    label: str
    path: str = ""
    low_hz: float | None = None
    high_hz: float | None = None
    score: float | None = None
    where: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def read_annotations(
    table: str | Path, kind: Kind | None = None, *, columns: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> list[Annotation]:
    """All annotations of a table, in its order.

    table: the file.
    kind: None to tell by the content.
    columns: the table's own name of start, end, label, path, low_hz or high_hz.
    encoding: of its text.
    Raises ManifestError for a table that is missing, not text in `encoding`, without a column that is needed, or with
    a time that is no number or an end that is not after its start.
    """
    place = Path(table)
    text = _text(place, encoding)
    kind = kind or kind_of(place, text)
    if kind not in KINDS:
        raise ManifestError(f"{kind!r} is no kind of annotation table. {did_you_mean(kind, KINDS)}")
    if kind == "audacity":
        if columns:
            raise ManifestError(f"{place} is a label track of Audacity, which has no named columns; leave them out.")
        return list(_audacity(place, text))
    return list(_by_columns(place, text, kind, dict(columns or {})))


def kind_of(table: Path, text: str) -> Kind:
    """By the first line: two numbers are Audacity's, a header with tabs and Raven's times is Raven's, else CSV."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    cells = first.split("\t")
    if len(cells) >= 2 and all(_is_number(cell) for cell in cells[:2]):
        return "audacity"
    return "raven" if "Begin Time (s)" in cells else "csv"


def write_annotations(
    path: str | Path, annotations: Iterable[Annotation], kind: Kind = "raven", *, highest_hz: float = 0.0
) -> Path:
    """Write a table that `read_annotations`, and the program it is named after, can read.

    path: the file to write.
    annotations: all that it holds. Audacity's tracks name no file, so they must be of one recording.
    kind: what the table is.
    highest_hz: the upper end of those that state no band, which Raven needs.
    Raises ManifestError for a label with a tab or a line break, which Raven and Audacity cannot hold.
    """
    rows = list(annotations)
    if kind != "csv":
        for row in rows:
            if any(sign in row.label for sign in "\t\r\n"):
                raise ManifestError(f"The label {row.label!r} has a tab or a line break; write a CSV table instead.")
    made = {"raven": _raven_text, "audacity": _audacity_text, "csv": _csv_text}[kind](rows, highest_hz)
    with atomic_write(Path(path)) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(made)
    return Path(path)


def _text(table: Path, encoding: str) -> str:
    if not table.is_file():
        raise ManifestError(f"There is no annotation table {table}; correct its path.")
    try:
        text = table.read_text(encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except (UnicodeDecodeError, UnicodeError) as error:
        raise ManifestError(
            f"{table} is not text in {encoding} ({error}); save it as UTF-8, or name its encoding, for instance "
            f"latin-1 or utf-16."
        ) from error
    except LookupError as error:
        raise ManifestError(f"There is no encoding {encoding!r}; utf-8, latin-1 and utf-16 are common ones.") from error
    if not text.strip():
        raise ManifestError(f"{table} is empty: it has no annotation.")
    return text


def _audacity(table: Path, text: str) -> Iterator[Annotation]:
    lines = [(f"{table} line {number}", line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for number, (where, line) in enumerate(lines):
        cells = line.split("\t")
        if cells[0].strip() == "\\":
            continue  # belongs to the label above it
        if len(cells) < 2:
            raise ManifestError(
                f"{where} is not `start TAB end TAB label`; export the label track from Audacity again."
            )
        band: list[float | None] = [None, None]
        following = lines[number + 1][1].split("\t") if number + 1 < len(lines) else [""]
        if following[0].strip() == "\\" and len(following) >= 3:
            # Audacity writes a negative frequency, or -1, for an end that is open.
            found = [_number(lines[number + 1][0], "frequency", cell) for cell in following[1:3]]
            band = [value if value >= 0 else None for value in found]
        start_s, end_s = (_number(where, name, cell) for name, cell in zip(("start", "end"), cells, strict=False))
        yield _checked(
            Annotation(start_s, end_s, "\t".join(cells[2:]).strip(), low_hz=band[0], high_hz=band[1], where=where)
        )


def _by_columns(table: Path, text: str, kind: Kind, columns: Mapping[str, str]) -> Iterator[Annotation]:
    """Raven's tables and CSV (with tabs, if the header has any)."""
    delimiter = "\t" if kind == "raven" or "\t" in text.splitlines()[0] else ","
    # Raven quotes nothing: a quotation mark in a label is one.
    how: dict[str, Any] = {"quoting": csv.QUOTE_NONE if kind == "raven" else csv.QUOTE_MINIMAL}
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, **how)
    names = _columns(table, list(reader.fieldnames or []), kind, columns)
    seen: dict[str, str] = {}
    try:
        for row in reader:
            where = f"{table} line {reader.line_num}"
            if None in row or None in row.values():
                raise ManifestError(
                    f"{where} does not have the {len(row) - (None in row)} fields of the header; mend it."
                )
            made = _annotation(where, row, names)
            selection, view = row.get("Selection"), row.get("View")
            if kind == "raven" and selection and view and seen.setdefault(selection, view) != view:
                continue  # the same selection in another view
            yield _checked(made)
    except csv.Error as error:
        raise ManifestError(f"{table} is not a table ({error}); save it again as text.") from error


def _columns(table: Path, header: list[str], kind: Kind, columns: Mapping[str, str]) -> dict[str, str]:
    """The table's own name for each column of ours. Those that are optional may be missing.

    table: for messages.
    header: its columns.
    kind: whose usual names are looked for.
    columns: what the user has named, by our name.
    Raises ManifestError for a column that is needed or named, and is not there.
    """
    known = _RAVEN if kind == "raven" else _CSV
    for ours, own in columns.items():
        if ours not in known:
            raise ManifestError(f"{ours!r} is no column of an annotation. {did_you_mean(ours, known)}")
        if own not in header:
            raise ManifestError(
                f"{table} has no column {own!r}. {did_you_mean(own, header)} Its header: {', '.join(header)}."
            )
    # What the user has not named is looked for under its usual names.
    names = {}
    for ours, usual in known.items():
        found = columns.get(ours) or next((name for name in usual if name in header), "")
        if found:
            names[ours] = found
        elif ours not in _OPTIONAL:
            raise ManifestError(
                f"{table} has no column for the {ours} ({' or '.join(map(repr, usual))}; its header: "
                f"{', '.join(header)}); name it, for instance {ours}={header[-1] or 'Name'!r}."
            )
    return names


def _annotation(where: str, row: Mapping[str, str], names: Mapping[str, str]) -> Annotation:
    start_s, end_s = (_number(where, names[ours], row[names[ours]]) for ours in ("start", "end"))
    if row.get("File Offset (s)") and names.get("path"):
        # A table over several files counts its times through all of them.
        offset = _number(where, "File Offset (s)", row["File Offset (s)"])
        start_s, end_s = offset, offset + end_s - start_s
    low_hz, high_hz = (
        _number(where, names[ours], row[names[ours]]) if names.get(ours) and row[names[ours]].strip() else None
        for ours in ("low_hz", "high_hz")
    )
    taken = {*names.values(), *_OF_VIEWS}
    others = {name: value.strip() for name, value in row.items() if name and name not in taken}
    path = row[names["path"]].strip() if names.get("path") else ""
    return Annotation(start_s, end_s, row[names["label"]].strip(), path, low_hz, high_hz, where=where, fields=others)


def _checked(annotation: Annotation) -> Annotation:
    start_s, end_s, where = annotation.start_s, annotation.end_s, annotation.where
    if start_s < 0:
        raise ManifestError(f"{where}: the start, {start_s:g} s, is before the recording begins; correct it.")
    if end_s <= start_s:
        raise ManifestError(
            f"{where}: the end, {end_s:g} s, is not after the start, {start_s:g} s; correct them, or delete the line."
        )
    if not annotation.label:
        raise ManifestError(f"{where} has no label; fill it in, or delete the line.")
    return annotation


def _number(where: str, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManifestError(f"{where}: {column} is {cell.strip()!r}, not a number; correct it.")
    return value


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _raven_text(rows: Sequence[Annotation], highest_hz: float) -> str:
    scored = any(row.score is not None for row in rows)
    header = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"]
    header += ["Begin File", "Annotation", *(["Score"] if scored else [])]
    lines = [header]
    for number, row in enumerate(rows, start=1):
        low, high = row.low_hz or 0.0, highest_hz if row.high_hz is None else row.high_hz
        cells = [
            str(number),
            "Spectrogram 1",
            "1",
            f"{row.start_s:.6f}",
            f"{row.end_s:.6f}",
            f"{low:.1f}",
            f"{high:.1f}",
        ]
        cells += [Path(row.path).name, row.label, *([_score(row)] if scored else [])]
        lines.append(cells)
    return "".join("\t".join(cells) + "\n" for cells in lines)


def _audacity_text(rows: Sequence[Annotation], highest_hz: float) -> str:
    parts = []
    for row in rows:
        parts.append(f"{row.start_s:.6f}\t{row.end_s:.6f}\t{row.label}\n")
        if row.low_hz is not None or row.high_hz is not None:
            low, high = (-1.0 if value is None else value for value in (row.low_hz, row.high_hz))
            parts.append(f"\\\t{low:.6f}\t{high:.6f}\n")
    return "".join(parts)


def _csv_text(rows: Sequence[Annotation], highest_hz: float) -> str:
    others = list(dict.fromkeys(name for row in rows for name in row.fields))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "start", "end", "label", "low_hz", "high_hz", "score", *others])
    for row in rows:
        band = ["" if value is None else f"{value:g}" for value in (row.low_hz, row.high_hz)]
        times = [f"{row.start_s:.6f}", f"{row.end_s:.6f}"]
        writer.writerow(
            [row.path, *times, row.label, *band, _score(row), *(row.fields.get(name, "") for name in others)]
        )
    return file.getvalue()


def _score(row: Annotation) -> str:
    return "" if row.score is None else f"{row.score:.4f}"
