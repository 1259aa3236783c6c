"""Manifests of the Asterisk prompts: transcripts as they are spoken, and one split.

    python recipes/asterisk/prepare.py FOLDER data/asterisk

FOLDER holds manifest.csv (path, transcript, split) and the recordings that it names. A prompt is in one split only; two
prompts with the same words are too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.data.text import TextConfig, normalize
from audiossl.errors import AudiosslError

SPOKEN = {
    **dict(enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])),
    "#": "pound",
    "*": "star",
}
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
    with open(table, encoding="utf-8", newline="") as file:
        rows = [{**row, "transcript": spoken(row["transcript"])} for row in csv.DictReader(file)]
    yield from one_split_a_text(rows)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the prompts, with its manifest.csv")
    parser.add_argument("out", type=Path, help="folder for the manifests")
    arguments = parser.parse_args()
    rows = list(rows_of(arguments.folder / "manifest.csv"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = arguments.out / "prompts.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        columns = ["path", "transcript", "speaker", "label", "language", "split"]
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    splits = cuts_from_csv(table, audio_root=arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: " + ", ".join(f"{name} {len(cuts)}" for name, cuts in splits.items()))


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
