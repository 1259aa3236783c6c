"""Annotation tables: where in a recording something is heard, and what.

Four kinds are read and written:

raven     selection tables of Raven: tabs between columns, `Begin Time (s)`, `End Time (s)`, frequencies in Hz, and one
          column with the label. A selection that is listed for the waveform and for the spectrogram counts once.
          BirdNET writes them too.
audacity  label tracks of Audacity: start, tab, end, tab, label. A line that begins with a backslash has the lowest and
          the highest frequency of the label above it.
csv       a header with a path, a start, an end and a label, with commas, semicolons or tabs between the columns. Every
          other column is kept.
rttm      lines of NIST's Rich Transcription, `SPEAKER file channel start duration <NA> <NA> label score <NA>`, as
          diarisation has them. The file is named without its ending. Lines of other types say nothing of when somebody
          speaks.

`audiossl.data.annotated` makes manifests of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from audiossl.core.errors import ManifestError, did_you_mean
from audiossl.core.files import atomic_write
from audiossl.data.tables import Numbers, numbered_lines, parse_table, read_text

Kind = Literal["raven", "audacity", "csv", "rttm"]
KINDS: tuple[Kind, ...] = ("raven", "audacity", "csv", "rttm")
# What a column is called where the user does not say, in the order in which they are looked for, in any case.
_RAVEN = {
    "start": ("Begin Time (s)",),
    "end": ("End Time (s)",),
    "label": ("Annotation", "Label", "Species", "Call Type", "Type", "Common Name"),
    "path": ("Begin Path", "Begin File"),
    "low_hz": ("Low Freq (Hz)",),
    "high_hz": ("High Freq (Hz)",),
    "channel": ("Channel",),
    "split": ("split",),
}
_CSV = {
    "start": ("start", "onset", "begin", "start_s", "Start (s)", "Begin Time (s)"),
    "end": ("end", "offset", "end_s", "End (s)", "End Time (s)"),
    "label": ("label", "annotation", "species", "calltype", "call_type", "Common Name"),
    "path": ("path", "file", "filename", "recording"),
    "low_hz": ("low_hz", "Low Freq (Hz)"),
    "high_hz": ("high_hz", "High Freq (Hz)"),
    "channel": (),
    "split": ("split",),
}
_NEEDED = ("start", "end", "label")
_OF_VIEWS = ("Selection", "View")  # Raven's own bookkeeping
_RTTM_TYPES = {"SPEAKER", "SPKR-INFO", "SEGMENT", "LEXEME", "NON-LEX", "NON-SPEECH", "NOSCORE", "NO_RT_METADATA"}
_RTTM_TYPES |= {"FILLER", "EDIT", "IP", "SU", "CB", "A/P"}
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Annotation:
    """One call (or whatever else) in a recording.

    start_s, end_s: from the file's beginning.
    label: what it is.
    path: the sound file, as the table names it, '' where it does not.
    low_hz, high_hz: its band, where known.
    channel: of the file, from 1, where the table says it.
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
    channel: int | None = None
    score: float | None = None
    where: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def read_annotations(
    table: str | Path, kind: Kind | None = None, *, columns: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> list[Annotation]:
    """All annotations of a table, in its order.

    table: the file.
    kind: None to tell by the content.
    columns: the table's own name of start, end, label, path, low_hz, high_hz, channel or split. '' leaves one of the
        last five out.
    encoding: of its text.
    Raises ManifestError for a table that is missing, not text in `encoding`, without a column that is needed, or with
    a time that is no number or an end that is not after its start.
    """
    place = Path(table)
    text = read_text(place, "annotation table", encoding)
    if not text.strip():
        raise ManifestError(f"{place} is empty: it has no annotation, nor a header that says that there is none.")
    kind = kind or kind_of(text)
    if kind not in KINDS:
        raise ManifestError(f"{kind!r} is no kind of annotation table. {did_you_mean(kind, KINDS)}")
    if kind in ("audacity", "rttm"):
        if columns:
            what = "a label track of Audacity" if kind == "audacity" else "an RTTM file"
            raise ManifestError(f"{place} is {what}, which has no named columns; leave them out.")
        return list(_audacity(place, text) if kind == "audacity" else _rttm(place, text))
    return list(_by_columns(place, text, kind, dict(columns or {})))


def kind_of(text: str) -> Kind:
    """By the first line: RTTM's begins with a type, Audacity's with two numbers, Raven's has its times, else CSV."""
    first = next((line for _, line in numbered_lines("", text)), "")
    if first.startswith(";;") or (len(words := first.split()) in (9, 10) and words[0] in _RTTM_TYPES):
        return "rttm"
    cells = first.split("\t")
    if len(cells) >= 2 and all(_NUMBER.fullmatch(cell) for cell in cells[:2]):
        return "audacity"
    return "raven" if "Begin Time (s)" in (cell.strip() for cell in cells) else "csv"


def write_annotations(
    path: str | Path, annotations: Iterable[Annotation], kind: Kind = "raven", *, highest_hz: float = 0.0
) -> Path:
    """Write a table that `read_annotations`, and the program it is named after, can read.

    path: the file to write.
    annotations: all that it holds. Audacity's tracks name no file, so they must be of one recording.
    kind: what the table is.
    highest_hz: the upper end of those that state no band, which Raven needs.
    Raises ManifestError for a label with a tab or a line break, which Raven and Audacity cannot hold, and for a label
    or a file's name with any space, which RTTM cannot.
    """
    rows = list(annotations)
    if kind in ("raven", "audacity"):
        for row in rows:
            if any(sign in row.label for sign in "\t\r\n"):
                raise ManifestError(f"The label {row.label!r} has a tab or a line break; write a CSV table instead.")
    writers = {"raven": _raven_text, "audacity": _audacity_text, "csv": _csv_text, "rttm": _rttm_text}
    made = writers[kind](rows, highest_hz)
    with atomic_write(Path(path)) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(made)
    return Path(path)


def _audacity(table: Path, text: str) -> Iterator[Annotation]:
    lines, read = numbered_lines(table, text), Numbers("\t")
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
            found = [read(lines[number + 1][0], "frequency", cell) for cell in following[1:3]]
            band = [value if value >= 0 else None for value in found]
        start_s, end_s = (read(where, name, cell) for name, cell in zip(("start", "end"), cells, strict=False))
        if start_s == end_s:
            raise ManifestError(
                f"{where} is a label at a point, {start_s:g} s, which lasts no time; drag it to a region in Audacity, "
                f"or delete the line."
            )
        yield _checked(
            Annotation(start_s, end_s, "\t".join(cells[2:]).strip(), low_hz=band[0], high_hz=band[1], where=where)
        )


def _rttm(table: Path, text: str) -> Iterator[Annotation]:
    read = Numbers(" ")
    for where, line in numbered_lines(table, text):
        cells = line.split()
        if not cells or cells[0].startswith(";;") or (cells[0] != "SPEAKER" and cells[0] in _RTTM_TYPES):
            continue
        if cells[0] != "SPEAKER" or len(cells) not in (9, 10):
            raise ManifestError(
                f"{where} is not `SPEAKER file channel start duration <NA> <NA> label <NA> <NA>`; correct it."
            )
        start_s, lasts_s = read(where, "start", cells[3]), read(where, "duration", cells[4])
        channel = None if cells[2] in ("<NA>", "1") else _channel(where, read(where, "channel", cells[2]))
        score = None if cells[8] == "<NA>" else read(where, "score", cells[8])
        label = "" if cells[7] == "<NA>" else cells[7]
        yield _checked(
            Annotation(start_s, start_s + lasts_s, label, cells[1], channel=channel, score=score, where=where)
        )


def _by_columns(table: Path, text: str, kind: Kind, columns: Mapping[str, str]) -> Iterator[Annotation]:
    """Raven's tables, which quote nothing (a quotation mark in a label is one), and CSV."""
    found = parse_table(table, text, quotes=kind != "raven")
    names, taken = _columns(table, found.header, kind, columns)
    read = Numbers(found.delimiter)
    seen: dict[tuple[object, ...], str] = {}
    for where, row in found.rows:
        others = {name: value for name, value in row.items() if name and name not in taken}
        own = {ours: row[name] for ours, name in names.items()}
        if "split" in own:
            others["split"] = own["split"]
        offset = row.get("File Offset (s)", "") if own.get("path") else ""
        made = _annotation(where, own, others, offset, read)
        # The same selection in another view. Tables that were joined count their selections anew.
        selection, view = (row.get(name) for name in _OF_VIEWS)
        same = (selection, made.path, made.channel, made.start_s, made.end_s, made.label)
        if kind != "raven" or not selection or not view or seen.setdefault(same, view) == view:
            yield _checked(made)


def _columns(table: Path, header: list[str], kind: Kind, columns: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """By our name the table's own of each column that is read, and all that are not kept under their own name.

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
        if own not in header and (own or ours in _NEEDED):
            raise ManifestError(
                f"{table} has no column {own!r}. {did_you_mean(own, header)} Its header: {', '.join(header)}."
            )
    # What the user has not named is looked for under its usual names.
    in_small = {name.lower(): name for name in reversed(header)}
    names, taken = {}, set(_OF_VIEWS if kind == "raven" else ())
    for ours, usual in known.items():
        found = next((in_small[name.lower()] for name in usual if name.lower() in in_small), "")
        own = columns.get(ours, found)
        if own:
            names[ours] = own
        elif ours in _NEEDED:
            raise ManifestError(
                f"{table} has no column for the {ours} ({' or '.join(map(repr, usual))}; its header: "
                f"{', '.join(header)}); name the one that it is in, as --column {ours}=NAME."
            )
        taken.add(own or found)
    return names, taken


def _annotation(
    where: str, own: Mapping[str, str], others: Mapping[str, str], offset: str, read: Numbers
) -> Annotation:
    """A row of a table.

    where: its place.
    own: its cells by our names.
    others: those that are kept as they are.
    offset: where it begins in its file, in a table over several whose times go through all of them. '' in any other.
    read: reads the table's numbers.
    Raises ManifestError for what is no number.
    """
    start_s, end_s = (read(where, name, own[name]) for name in ("start", "end"))
    if offset:
        inside_s = read(where, "File Offset (s)", offset)
        start_s, end_s = inside_s, inside_s + end_s - start_s
    low_hz, high_hz = (read(where, name, own[name]) if own.get(name) else None for name in ("low_hz", "high_hz"))
    channel = _channel(where, read(where, "channel", own["channel"])) if own.get("channel") else None
    return Annotation(
        start_s,
        end_s,
        own["label"],
        own.get("path", ""),
        low_hz,
        high_hz,
        channel,
        where=where,
        fields=others,
    )


def _channel(where: str, channel: float) -> int:
    if channel < 1 or channel != int(channel):
        raise ManifestError(
            f"{where}: the channel {channel:g} is no whole number from 1; correct it, or leave the column out with "
            f"--column channel=."
        )
    return int(channel)


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
            str(row.channel or 1),
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


def _rttm_text(rows: Sequence[Annotation], highest_hz: float) -> str:
    lines = []
    for row in rows:
        file = Path(row.path).stem
        for word, what in ((row.label, "label"), (file, "file name")):
            if len(word.split()) != 1:
                raise ManifestError(f"The {what} {word!r} is not one word, as RTTM needs; write a CSV table instead.")
        times = f"{row.start_s:.3f} {row.end_s - row.start_s:.3f}"
        lines.append(f"SPEAKER {file} {row.channel or 1} {times} <NA> <NA> {row.label} {_score(row) or '<NA>'} <NA>\n")
    return "".join(lines)


def _score(row: Annotation) -> str:
    return "" if row.score is None else f"{row.score:.4f}"
