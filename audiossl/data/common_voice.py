"""Mozilla Common Voice: a folder with clips/ and a table with tabs for each split (Ardila et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import ColumnNames
from audiossl.data.sources import check_names, cuts_from_rows
from audiossl.data.tables import SourceRow, parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet

_CLIPS = "clips"
_USUAL = ("train", "dev", "test")
_NO_SPLITS = ("clip_durations", "reported", "unvalidated_sentences", "validated_sentences")


def cuts_from_common_voice(
    folder: str | Path, splits: Sequence[str] = (), *, bad: BadRows | None = None
) -> dict[str, CutSet]:
    """Cut sets of a language of Common Voice: `client_id` is the speaker, `sentence` the transcript.

    folder: of the language.
    splits: the names of its tables. None for train, dev and test, or for validated where they are not there.
    bad: what becomes of rows that cannot be used. None for an error.
    Raises ManifestError or AudioError that names the table and the line.
    """
    top, bad = Path(folder), bad or BadRows()
    there = sorted(path.stem for path in top.glob("*.tsv") if path.stem not in _NO_SPLITS)
    names = (
        list(splits) or [name for name in _USUAL if name in there] or [name for name in there if name == "validated"]
    )
    if not names or not (top / _CLIPS).is_dir():
        raise ManifestError(
            f"{top} is no folder of Common Voice, which has {_CLIPS}/ and train.tsv, validated.tsv, ...; give that of "
            f"one language (cv-corpus-*/en)."
        )
    if missing := [name for name in names if name not in there]:
        raise ManifestError(f"{top} has no {missing[0]}.tsv; choose among {', '.join(there)}.")
    rows = [row for name in names for row in _rows(top / f"{name}.tsv", bad)]
    return cuts_from_rows(rows, top / _CLIPS, top, bad)


def _rows(table: Path, bad: BadRows) -> list[SourceRow]:
    # Marks stand in sentences as they were typed.
    found = parse_table(table, read_text(table, "table"), quotes=False, bad=bad)
    named = {"path": "path", "speaker": "client_id", "transcript": "sentence"}
    check_names(table, found.header, named)
    names = ColumnNames(found.header, named)
    return [
        SourceRow(where, "", {**names.fields(row), "path": _with_suffix(row["path"]), "split": table.stem})
        for where, row in found.rows
    ]


def _with_suffix(path: str) -> str:
    """Early releases name the clip alone."""
    return path if not path or Path(path).suffix else f"{path}.mp3"
