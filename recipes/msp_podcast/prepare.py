"""Manifests of MSP-Podcast: its own splits, four emotions, and valence, arousal and dominance.

    python recipes/msp_podcast/prepare.py FOLDER data/msp_podcast

FOLDER holds Labels/labels_consensus.csv and Audios/MSP-PODCAST_0001_0008.wav and so on. The columns that are read are
FileName, EmoClass, EmoVal, EmoAct, EmoDom, SpkrID and Split_Set. `--test Test2` takes another of the test sets.
All turns have numbers, and go to train_numbers, dev_numbers and test_numbers. Those of the four emotions go to train,
dev and test.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.fields import read_field
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral"}
COLUMNS = ("FileName", "EmoClass", "EmoVal", "EmoAct", "EmoDom", "SpkrID", "Split_Set")


def turns(table: Path, test: str) -> Iterator[dict[str, str]]:
    """A row for each turn of the three splits, `label` empty for other emotions than the four."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if lacking := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ManifestError(f"{table} has no column {lacking[0]!r}; give Labels/labels_consensus.csv as published.")
        splits = {"Train": "train", "Development": "dev", test: "test"}
        for row in reader:
            if row["Split_Set"] in splits:
                speaker = row["SpkrID"].strip()
                yield {
                    "path": f"Audios/{row['FileName']}",
                    "label": EMOTIONS.get(row["EmoClass"], ""),
                    # Turns of speakers whom nobody has named are of nobody known, and not of one.
                    "speaker": "" if speaker.lower() == "unknown" else speaker,
                    "valence": row["EmoVal"],
                    "arousal": row["EmoAct"],
                    "dominance": row["EmoDom"],
                    "language": "en",
                    "split": splits[row["Split_Set"]],
                }


def prepare(folder: Path, out: Path, test: str = "Test1") -> dict[str, CutSet]:
    """Write the table and the six manifests, and return the rows of the four emotions by split."""
    table = folder / "Labels" / "labels_consensus.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; give the folder of the corpus, with Labels and Audios in it.")
    rows = list(turns(table, test))
    if lacking := {"train", "dev", "test"} - {row["split"] for row in rows}:
        raise ManifestError(f"{table} has no row of {sorted(lacking)[0]}; give the whole table, or another --test.")
    numbers = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests({f"{split}_numbers": cuts for split, cuts in numbers.items()}, out)
    labelled = {
        split: cuts.filter(lambda cut: read_field(cut, "label") is not None).to_eager()
        for split, cuts in numbers.items()
    }
    write_manifests(labelled, out)
    return labelled


def main() -> None:
    parser = folder_parser(__doc__, "the folder of the corpus, with Labels and Audios in it")
    parser.add_argument("--test", default="Test1", help="which of the test sets is test")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out, arguments.test))}")


if __name__ == "__main__":
    run(main)
