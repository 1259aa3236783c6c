"""Manifests of the Asterisk prompts: transcripts as they are spoken, and one split.

    python recipes/asterisk/prepare.py FOLDER data/asterisk

FOLDER holds manifest.csv (path, transcript, split) and the recordings that it names. A prompt is in one split only; two
prompts with the same words are too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.tables import parse_table, read_text
from audiossl.data.text import TextConfig, normalize

SPOKEN = {
    **dict(enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])),
    "#": "pound",
    "*": "star",
}
COLUMNS = ("path", "transcript", "speaker", "label", "language", "split")
WRITTEN = TextConfig(case="lower", punctuation="strip")
Row = dict[str, str]


def spoken(transcript: str) -> str:
    """Lower case, no punctuation, digits and keys as words.

    >>> spoken("Press 1, or the # key.")
    'press one or the pound key'
    """
    for sign, word in SPOKEN.items():
        transcript = transcript.replace(str(sign), f" {word} ")
    return normalize(transcript, WRITTEN)


def rows_of(table: Path) -> Iterator[Row]:
    """Rows with spoken transcripts; of those with equal words, all are in the split of the first in training order."""
    if not table.is_file():
        raise AudiosslError(f"There is no {table}; give the folder of the prompts with its manifest.csv.")
    found = parse_table(table, read_text(table, "table"))
    rows = [{**row, "transcript": spoken(row["transcript"])} for _, row in found.rows]
    for row in one_split_a_text(rows):
        yield {column: row.get(column, "") for column in COLUMNS}


def one_split_a_text(rows: Iterable[Row]) -> Iterator[Row]:
    """A text that is in training somewhere is in training everywhere; likewise dev before test."""
    ranks = ("train", "dev", "test")
    rows = list(rows)
    best = {row["transcript"]: "test" for row in rows}
    for row in rows:
        best[row["transcript"]] = min(best[row["transcript"]], row["split"], key=ranks.index)
    for row in rows:
        yield {**row, "split": best[row["transcript"]]}


def main() -> None:
    arguments = folder_parser(__doc__, "folder of the prompts, with its manifest.csv").parse_args()
    rows = rows_of(arguments.folder / "manifest.csv")
    splits = cuts_of_table(rows, arguments.out / "prompts.csv", arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
