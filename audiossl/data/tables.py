"""Text that users bring: tables with commas, semicolons or tabs, lists with one thing a line, their numbers and paths.

Every reader of such a file goes through here, so that no line is lost, a byte-order mark is never a part of the text,
and an error names the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import ManifestError, first_line
from audiossl.data.bad_rows import BadRows

_LINE_END = re.compile(r"\r\n|\r|\n")  # not what else Unicode calls a line end, which may be in a name or a transcript
_QUOTED = re.compile(r'"[^"]*"')
_COMMA_NUMBER = re.compile(r"[-+]?\d*,\d+")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


class SourceRow(NamedTuple):
    """A row on its way to become a cut.

    where: its place, for messages.
    name: the cut's id, '' to make one of the path.
    fields: by column name, all text.
    channel: of its file, from 0. None for the mean of all.
    """

    where: str
    name: str
    fields: Mapping[str, str]
    channel: int | None = None


class TextTable(NamedTuple):
    """A table with a header.

    header: the names of the columns, without blanks around them.
    delimiter: what parts the columns.
    rows: the place and the cells by column of each row, without blanks around them. They are read once.
    """

    header: list[str]
    delimiter: str
    rows: Iterator[tuple[str, dict[str, str]]]


def read_text(path: str | Path, what: str, encoding: str | None = None) -> str:
    """The text of a file, its line ends as they are, without a byte-order mark.

    path: the file.
    what: what it is, for messages.
    encoding: what the user has named. None for UTF-8 where none can be named.
    Raises ManifestError for a file that is missing or cannot be read, and for one that is no text in that encoding.
    """
    place, named = Path(path), encoding or "utf-8"
    try:
        # The mark that Windows puts first would be a part of the first name.
        with open(place, encoding="utf-8-sig" if named.lower() in ("utf-8", "utf8") else named, newline="") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise ManifestError(f"There is no {what} {place}; correct its path.") from error
    except OSError as error:
        raise ManifestError(f"The {what} {place} cannot be read ({error.strerror}); correct its path.") from error
    except UnicodeError as error:
        more = ", or name its encoding, for instance latin-1 or utf-16" if encoding else ""
        raise ManifestError(f"The {what} {place} is not text in {named} ({error}); save it as UTF-8{more}.") from error
    except LookupError as error:
        raise ManifestError(f"There is no encoding {named!r}; utf-8, latin-1 and utf-16 are common ones.") from error
    if "\0" in text:
        line = len(_LINE_END.findall(text[: text.index("\0")])) + 1
        raise ManifestError(f"{place} line {line} has a NUL character, so it is no text; save the {what} as UTF-8.")
    return text


def numbered_lines(path: str | Path, text: str) -> list[tuple[str, str]]:
    """The place and the text of each line that is not blank."""
    lines = enumerate(_LINE_END.split(text), start=1)
    return [(f"{path} line {number}", line) for number, line in lines if line.strip()]


def json_rows(path: str | Path, what: str, bad: BadRows) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the object of each line of JSON lines.

    path: the file.
    what: what it is, for messages.
    bad: what becomes of a line that is no object.
    Raises ManifestError.
    """
    for where, line in numbered_lines(path, read_text(path, what)):
        with bad.of(where):
            try:
                told = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ManifestError(f"{where} is not JSON ({first_line(error)}); mend or remove it.") from error
            if not isinstance(told, dict):
                raise ManifestError(f"{where} must hold a JSON object, not a {type(told).__name__}; mend or remove it.")
            yield where, told


def parse_table(path: str | Path, text: str, *, quotes: bool = True, bad: BadRows | None = None) -> TextTable:
    """A table, by the delimiter that its header shows.

    Quotation marks are CSV's. With tabs, where most programs write them as any other sign, that holds only if the
    header is in such marks or a mark is doubled within them.

    path: for messages.
    text: all of it.
    quotes: whether marks may be CSV's at all.
    bad: what becomes of rows with another number of cells. None for an error.
    Raises ManifestError for a column that is there twice and, while rows are read, for one with another number of
    cells or with a quotation mark that nothing closes.
    """
    first = next((line for line in _LINE_END.split(text) if line.strip()), "")
    delimiter = _delimiter_of(first)
    quotes = quotes and (delimiter != "\t" or _quotes_with_tabs(path, text, first))
    lines = _cells(path, text, delimiter, quotes)
    header = [name.strip() for name in next(lines, ("", []))[1]]
    for name, count in Counter(header).items():
        if name and count > 1:  # a table may have several columns without a name, which nobody reads
            raise ManifestError(f"{path} has the column {name!r} {count} times; rename or delete all but one.")
    return TextTable(header, delimiter, _by_column(lines, header, delimiter, bad or BadRows()))


class Numbers:
    """Reads the numbers of one table. Its decimal sign may be a comma, where that does not part the columns."""

    def __init__(self, delimiter: str = ",") -> None:
        self._commas = delimiter != ","
        self._first: dict[str, str] = {}

    def __call__(self, where: str, column: str, cell: str) -> float:
        """Raises ManifestError for what is no finite number, and for a comma where another number has a point."""
        text = cell.strip()
        comma = self._commas and _COMMA_NUMBER.fullmatch(text) is not None
        try:
            value = math.nan if "_" in text else float(text.replace(",", ".") if comma else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            fix = "write a decimal point" if _COMMA_NUMBER.fullmatch(text) else "correct it"
            raise ManifestError(f"{where}: {column} is {text!r}, not a number; {fix}.")
        # 1,234 beside 0.5 may be a thousand and more.
        sign = "comma" if comma else "point" if "." in text else ""
        other = self._first.get("point" if comma else "comma", "")
        if sign and other:
            raise ManifestError(
                f"{where}: {column} is {text!r} with a {sign}, unlike the number of {other}; write all with a point."
            )
        if sign:
            self._first.setdefault(sign, where)
        return value


def local_path(path: str, root: Path) -> str:
    """A path of a table as this machine has it: Windows' backslashes are slashes, unless a file below `root` has them.

    >>> local_path("wav\\\\a.wav", Path("nowhere"))
    'wav/a.wav'
    """
    return path if "\\" not in path or (root / path).is_file() else path.replace("\\", "/")


def _delimiter_of(header: str) -> str:
    bare = _QUOTED.sub("", header)
    return "\t" if "\t" in bare else ";" if bare.count(";") > bare.count(",") else ","


def _quotes_with_tabs(path: str | Path, text: str, header: str) -> bool:
    if '"' in header:
        return True
    if '""' not in text:
        return False
    try:
        rows = [cells for _, cells in _cells(path, text, "\t", True)]
    except ManifestError:
        return False
    return len({len(cells) for cells in rows}) == 1


def _cells(path: str | Path, text: str, delimiter: str, quotes: bool) -> Iterator[tuple[str, list[str]]]:
    """The place (of its first line) and the cells of each row that is not blank."""
    how: dict[str, Any] = {"quoting": csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE}
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True, **how)
    while True:
        where = f"{path} line {reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ManifestError(
                f"{where}: a quotation mark is not closed, or something follows the one that closes ({error}); close "
                f"it, or double it where it belongs to the text."
            ) from error
        if cells is None:
            return
        # What a forgotten mark swallows are whole rows, which have delimiters.
        long = [cell for cell in cells if "\n" in cell or "\r" in cell]
        if any(delimiter in "".join(_LINE_END.split(cell)[1:]) for cell in long):
            raise ManifestError(
                f"{where}: a text in quotation marks goes on to line {reader.line_num} and has a "
                f"{_DELIMITERS[delimiter]} there, so a mark may not be closed; close it, or put the text on one line."
            )
        if any(cell.strip() for cell in cells):
            yield where, cells


def _by_column(
    lines: Iterator[tuple[str, list[str]]], header: list[str], delimiter: str, bad: BadRows
) -> Iterator[tuple[str, dict[str, str]]]:
    for where, cells in lines:
        with bad.of(where):
            if len(cells) != len(header):
                raise ManifestError(
                    f"{where} does not have the {len(header)} fields of the header (it has {len(cells)}); put a field "
                    f"with a {_DELIMITERS[delimiter]} into quotation marks."
                )
            yield where, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
