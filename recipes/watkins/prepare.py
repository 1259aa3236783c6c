"""Manifests of the best cuts of the Watkins Marine Mammal Sound Database, as BEANS' archive of them has it.

    python recipes/watkins/prepare.py FOLDER data/watkins                       # by tape
    python recipes/watkins/prepare.py FOLDER data/watkins --split published     # at random, 6:2:2, as BEANS

FOLDER has annotations.csv (path, species) and the recordings. The first five characters of a file's name are taken for
its tape, from which several cuts come [mem]: nobody has checked that against the database's own records.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.splits import split_cuts
from audiossl.data.tables import parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}  # as BEANS
LEFT_OUT = ("Weddell_Seal",)  # two cuts, as BEANS
TAPE = 5  # characters of a name
FEWEST_TAPES = len(SHARES)  # of a species, so that each split can have one


def prepare(folder: Path, out: Path, split: str = "tape") -> dict[str, CutSet]:
    """Write train, dev and test, say which species have too few tapes, and return the rows."""
    table = folder / "annotations.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; unpack watkins.zip and give its folder.")
    rows = [row for _, row in parse_table(table, read_text(table, "table")).rows]
    if not rows or not {"path", "species"} <= set(rows[0]):
        raise ManifestError(f"{table} has no columns path and species; it is not the table of the archive.")
    kept = [
        {"path": row["path"], "label": row["species"], "recording": Path(row["path"]).name[:TAPE]}
        for row in rows
        if row["species"] not in LEFT_OUT
    ]
    if split == "tape":
        kept = with_enough_tapes(kept)
    cuts = cuts_of_table(kept, out / "recordings.csv", folder)["all"]
    splits = split_cuts(cuts, SHARES, by="recording" if split == "tape" else "item")
    write_manifests(splits, out)
    return splits


def with_enough_tapes(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of species that are on as many tapes as there are splits. The others are told and left out."""
    tapes = Counter(label for label, _ in {(row["label"], row["recording"]) for row in rows})
    rare = sorted(label for label, count in tapes.items() if count < FEWEST_TAPES)
    if rare:
        print(f"left out, of fewer than {FEWEST_TAPES} tapes: {', '.join(rare)}")
    return [row for row in rows if row["label"] not in rare]


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked archive, with annotations.csv")
    parser.add_argument("--split", choices=("tape", "published"), default="tape", help="by tape, or at random by cut")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out, arguments.split))}")


if __name__ == "__main__":
    run(main)
