"""Scores as other programs read them, one trial a line, and tables of NIST's evaluations.

* voxceleb: `score enrol test`.
* kaldi: `enrol test score`.
* nist: tab-separated with a header, modelid, segmentid, side and LLR. A side is a channel, 'a' of one channel.

Where a trial has a log-likelihood ratio, that is what is written, else its score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.files import atomic_write
from audiossl.data.tables import numbered_lines, read_text

FILES: Mapping[str, str] = {"voxceleb": "scores.txt", "kaldi": "scores.txt", "nist": "scores.tsv"}
"""The forms, and what the file of each is called."""

_SEGMENTS = ("segmentid", "segment")


def write_scores(folder: Path, form: str, trials: Iterable[Mapping[str, Any]]) -> Path:
    """Write the scores of trials into a folder, and return the file.

    folder: that of the split.
    form: one of FILES.
    trials: with enrol, test, score and llr.
    Raises ConfigError for a name with blanks, which has no place between blanks.
    """
    path = folder / FILES[form]
    lines, separator = (["modelid\tsegmentid\tside\tLLR"], "\t") if form == "nist" else ([], None)
    for row in trials:
        enrol, test = str(row["enrol"]), str(row["test"])
        value = repr(float(row["score"] if row["llr"] is None else row["llr"]))
        if any(len(name.split(separator)) != 1 for name in (enrol, test)):
            raise ConfigError(
                f"The trial {enrol!r} {test!r} has a blank in a name, for which a {form} score file has no place; take "
                f"task.scoring.score_file=nist, or other ids."
            )
        cells = {"voxceleb": (value, enrol, test), "kaldi": (enrol, test, value), "nist": (enrol, test, "a", value)}
        lines.append((separator or " ").join(cells[form]))
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_scores(path: str | Path) -> dict[tuple[str, str], float]:
    """The score of each trial, by its two names, of a file in any of the three forms.

    Raises ManifestError for a line that is none, and for a trial that is there twice with two scores.
    """
    lines = numbered_lines(path, read_text(path, "score file"))
    table = nist_rows(lines)
    triples = (
        _triples(lines)
        if table is None
        else [(where, row["modelid"], row["segmentid"], row.get("llr", row.get("score", ""))) for where, row in table]
    )
    found: dict[tuple[str, str], float] = {}
    for where, enrol, test, text in triples:
        value = _number(text)
        if value is None:
            raise ManifestError(
                f"{where} is no score; write `score enrol test`, `enrol test score`, or NIST's table with a column LLR."
            )
        if found.setdefault((enrol, test), value) != value:
            raise ManifestError(f"{where} scores {enrol} {test} again, otherwise than before; delete one of the two.")
    if not found:
        raise ManifestError(f"The score file {path} is empty; make it again.")
    return found


def nist_rows(lines: Sequence[tuple[str, str]]) -> list[tuple[str, dict[str, str]]] | None:
    """The place and the cells of each row of a table of NIST's, by lower-case column. None for another file.

    Its segments are called segmentid, as in newer tables. Raises ManifestError for a row of another number of cells.
    """
    header = [cell.strip().lower() for cell in lines[0][1].split("\t")] if lines else []
    segment = next((name for name in _SEGMENTS if name in header), None)
    if "modelid" not in header or segment is None:
        return None
    header[header.index(segment)] = "segmentid"
    rows = []
    for where, line in lines[1:]:
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(header):
            raise ManifestError(f"{where} has {len(cells)} cells, and the header {len(header)}; part them by tabs.")
        rows.append((where, dict(zip(header, cells, strict=True))))
    return rows


def _triples(lines: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str, str, str]]:
    """The place, both names and the score of each line. A number may be first or last, where names are none."""
    rows = [(where, line.split()) for where, line in lines]
    wrong = next((where for where, words in rows if len(words) != 3), None)
    if wrong is not None:
        raise ManifestError(f"{wrong} has not three words; write `score enrol test` or `enrol test score`.")
    last = all(_number(words[2]) is not None for _, words in rows)
    first = all(_number(words[0]) is not None for _, words in rows)
    # Where names are numbers as well, a score has a point or an exponent in it.
    if first and last:
        first = any(not words[0].lstrip("-").isdigit() for _, words in rows)
        last = not first
    return [(where, *((words[1], words[2], words[0]) if first else words)) for where, words in rows]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value else None
