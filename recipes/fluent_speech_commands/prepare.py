"""Manifests of Fluent Speech Commands: its own splits, and an intent of three slots for each utterance.

    python recipes/fluent_speech_commands/prepare.py FOLDER data/fluent_speech_commands

FOLDER holds data/train_data.csv, valid_data.csv and test_data.csv, with the columns path, speakerId, transcription,
action, object and location, and the recordings that they name. `intent` is the three slots as one label.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

TABLES = {"train": "train_data.csv", "dev": "valid_data.csv", "test": "test_data.csv"}
SLOTS = ("action", "object", "location")
COLUMNS = ("path", "speakerId", "transcription", *SLOTS)


def utterances(table: Path, split: str) -> Iterator[dict[str, str]]:
    """A row for each line of a table."""
    if not table.is_file():
        raise ManifestError(f"There is no {table}; give the folder of the corpus, with data/ and wavs/ in it.")
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if lacking := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ManifestError(f"{table} has no column {lacking[0]!r}; give the table as published.")
        for row in reader:
            slots = {name: row[name] for name in SLOTS}
            yield {
                "path": row["path"],
                "speaker": row["speakerId"],
                "transcript": row["transcription"],
                **slots,
                "intent": "_".join(slots.values()),
                "language": "en",
                "split": split,
            }


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and the three manifests, and return their rows."""
    rows = [row for split, name in TABLES.items() for row in utterances(folder / "data" / name, split)]
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "the folder of the corpus, with data/ and wavs/ in it").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
