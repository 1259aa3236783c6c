"""Predictions as files for other programs: JSON lines, CSV, Parquet, Kaldi's text (an id, then what was said), RTTM."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write, write_jsonl
from audiossl.core.untrusted import json_text
from audiossl.data.turns import Turn, write_rttm
from audiossl.encoders.embedding_tables import load_pyarrow

BEGINS: Mapping[str, bytes | None] = {
    ".jsonl": b"{",
    ".csv": b"id,",
    ".parquet": b"PAR1",
    ".txt": None,
    ".rttm": b"SPEAKER",
}
"""The endings of the files, and with which bytes those that are there already must begin."""


def check_ending(out: Path) -> None:
    """Raise ConfigError where a file's ending says no format, or one that needs a package that is not there."""
    if out.suffix not in BEGINS:
        raise ConfigError(f"{out} does not say in which format; let it end in {', '.join(BEGINS)}.")
    if out.suffix == ".parquet":
        load_pyarrow()


def write_predictions(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what a task predicts.

    out: a path that `check_ending` lets pass. JSON lines and tables have all. In tables, lists are JSON, and what has
        parts by name is a column for each, such as `predicted.age`. Kaldi's text has an id and `predicted` a line. RTTM
        has the turns of speakers that a task of diarisation predicts.
    rows: with an `id` each.
    Raises ConfigError where Kaldi's text is asked for and ids have spaces, or the task predicts no text, and where RTTM
    is asked for and the task predicts no turns.
    """
    if out.suffix == ".rttm":
        write_rttm(out, {str(row["id"]): _turns(row) for row in rows})
        return
    if out.suffix == ".jsonl":
        write_jsonl(out, rows)
        return
    if out.suffix == ".txt":
        text = "".join(f"{_kaldi_id(row)} {_text(row)}".rstrip() + "\n" for row in rows)
        with atomic_write(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(["id", *(name for row in flat for name in row)]))
    columns = {name: [_cell(row.get(name)) for row in flat] for name in names}
    with atomic_write(out) as temporary:
        if out.suffix == ".csv":
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([names, *zip(*columns.values(), strict=True)])
        else:
            arrow = load_pyarrow()
            arrow.parquet.write_table(arrow.table(columns), temporary)


def _turns(row: Mapping[str, Any]) -> list[Turn]:
    try:
        return [Turn(float(start), float(end), str(speaker)) for start, end, speaker in row["predicted"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"RTTM is for who speaks when, and {json_text(row)[:80]} has no turns; write a .jsonl file."
        ) from error


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row, with a column for each part of what has parts by name."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
    return found


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _kaldi_id(row: Mapping[str, Any]) -> str:
    if len(str(row["id"]).split()) != 1:
        raise ConfigError(f"Kaldi's text has no place for the id {row['id']!r}, which has spaces; write a .csv file.")
    return str(row["id"])


def _text(row: Mapping[str, Any]) -> str:
    said = row.get("predicted")
    if not isinstance(said, str):
        raise ConfigError(f"Kaldi's text is for transcripts and labels, and {json_text(row)[:80]} has none.")
    return said
