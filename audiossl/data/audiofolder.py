"""Hugging Face's audiofolder: sound files beside a metadata.csv or metadata.jsonl, or in folders of their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import ColumnNames
from audiossl.data.folders import sounds_below
from audiossl.data.sources import check_names, cuts_from_folder, cuts_from_rows, split_name
from audiossl.data.tables import SourceRow, json_rows, parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet

_PATH = "file_name"
_METADATA = ("metadata.csv", "metadata.jsonl")


def cuts_from_audiofolder(
    folder: str | Path, *, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> dict[str, CutSet]:
    """Cut sets of an audiofolder: of its metadata where there is any, else as `cuts_from_folder` has them.

    folder: of all of it. Its own folders train, dev (or validation) and test are the splits.
    columns: the metadata's name for columns of ours (see `cuts_from_csv`), such as {"label": "species"}.
    bad: what becomes of rows that cannot be used, and of files that no row is of. None for an error.
    Raises ManifestError or AudioError that names the file and the line.
    """
    top, bad = Path(folder), bad or BadRows()
    tables = sorted(path for name in _METADATA for path in top.rglob(name))
    if not tables:
        return cuts_from_folder(top, bad=bad)
    rows = [row for table in tables for row in _rows(table, top, columns or {}, bad)]
    named = {(top / row.fields["path"]).resolve() for row in rows}
    for path in sounds_below(top):
        with bad.of(str(path)):
            if path.resolve() not in named:
                raise ManifestError(f"{path}: no metadata has a row of this file; add one, or remove the file.")
    return cuts_from_rows(rows, top, top, bad)


def _rows(table: Path, top: Path, columns: Mapping[str, str], bad: BadRows) -> Iterator[SourceRow]:
    header, lines = _lines(table, bad)
    named = {"path": _PATH, **columns}
    check_names(table, header, named)
    names = ColumnNames(header, named)
    for where, told in lines:
        with bad.of(where):
            fields = names.fields(told)
            if not fields.get("path"):
                raise ManifestError(f"{where} has no {named['path']}; fill it in, or drop the row.")
            path = Path(os.path.relpath(table.parent / fields["path"], top))
            if path.parts[0] == "..":
                raise ManifestError(
                    f"{where}: {fields['path']} is not below {top}; copy the recording into the folder."
                )
            folders = [split_name(part) for part in path.parts[:-1]]
            split = next((name for name in folders if name in ("train", "dev", "test")), "all")
            yield SourceRow(where, "", {**fields, "path": str(path), "split": fields.get("split") or split})


def _lines(table: Path, bad: BadRows) -> tuple[list[str], list[tuple[str, Mapping[str, Any]]]]:
    """The names of all fields, and the place and fields of each row."""
    if table.suffix == ".csv":
        found = parse_table(table, read_text(table, "metadata"), bad=bad)
        return found.header, list(found.rows)
    rows: list[tuple[str, Mapping[str, Any]]] = list(json_rows(table, "metadata", bad))
    return list(dict.fromkeys(name for _, told in rows for name in told)), rows
