"""Manifests of finch calls, songs and syllables.

    python recipes/finches/prepare.py FOLDER data/finches

FOLDER holds manifest.csv (a row a clip: path, speaker, species, recording, ...), syllables.csv (path, onset, offset,
label) and the clips. Songs are split by source recording, so that no recording is in two splits. Calls of zebra finches
are cross-validated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.annotated import WHOLE, Windows, cuts_of_calls, cuts_of_windows, located
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_rows
from audiossl.data.splits import split_cuts
from audiossl.data.tables import SourceRow, parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

# Of one laboratory; of the two, the first has eleven types of syllable that are all frequent.
SINGERS = ("bf_gy6or6", "bf_bl26lb16")
BIRD = SINGERS[0]
FEW = 5  # training items of each type, where there are to be few
EVERY = 6  # of the syllables of all birds, where the question is who sings
FEWEST = 10  # syllables of a type, in all: the rest is left out
SHARES = {"train": 0.5, "dev": 0.2, "test": 0.3}
WINDOWS = Windows(window_s=0.2, hop_s=0.1, min_overlap=0.5, short="keep")

Rows = list[dict[str, str]]


def prepare(folder: Path, out: Path) -> None:
    """Write the manifests of all tasks and say how many rows they have."""
    rows = clips(folder)
    calls = [row for row in rows if row["species"] == "Taeniopygia guttata"]
    callers = {"all": calls_of(calls, folder)}
    birds = split_cuts(songs_of([row for row in rows if row["speaker"] in SINGERS], folder), SHARES)
    syllables = syllables_of(rows, folder)
    by_type = split_cuts(cuts_of_calls(syllables, folder)["all"], SHARES)
    by_type["train_few"] = few_of(by_type["train"])
    made = {"callers": callers, "birds": birds, "syllables": by_type}
    windows = cuts_of_windows(syllables, WINDOWS, root=folder)["all"]
    made["windows"] = split_cuts(windows, SHARES)
    made["events"] = split_cuts(cuts_of_windows(syllables, WHOLE, root=folder)["all"], SHARES)
    made["segments"] = split_cuts(cuts_of_windows(every_syllable(rows, folder), WHOLE, root=folder)["all"], SHARES)
    singers = cuts_of_calls(every_syllable(rows, folder, who=True)[::EVERY], folder)["all"]
    made["singers"] = split_cuts(singers, SHARES)
    made["singers_random"] = split_cuts(singers, SHARES, by="item")
    for task, splits in made.items():
        write_manifests(splits, out / task)
        print(f"{out / task}: {described(splits)}")


def clips(folder: Path) -> Rows:
    """The rows of manifest.csv. Raises ManifestError."""
    table = folder / "manifest.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; give the folder with manifest.csv and syllables.csv.")
    rows = [row for _, row in parse_table(table, read_text(table, "table")).rows]
    for column in ("path", "speaker", "species", "recording"):
        if not rows or column not in rows[0]:
            raise ManifestError(f"{table} has no column {column!r}; it is not the table of the finches.")
    return rows


def calls_of(rows: Rows, folder: Path) -> CutSet:
    """Each call is a file of its own; `session` is its day. Two of the birds were recorded on one or two days alone."""
    made = [
        SourceRow(
            row["path"],
            "",
            {"path": row["path"], "speaker": row["speaker"], "label": row["speaker"], "session": row["recording"]},
        )
        for row in rows
    ]
    return cuts_from_rows(made, folder)["all"]


def songs_of(rows: Rows, folder: Path) -> CutSet:
    kept = ("path", "speaker", "recording")
    made = [SourceRow(row["path"], "", {"label": row["speaker"], **{key: row[key] for key in kept}}) for row in rows]
    return cuts_from_rows(made, folder)["all"]


def syllables_of(rows: Rows, folder: Path) -> list[Annotation]:
    """Frequent types of one bird, each with its source recording. A letter means something in this bird alone."""
    recording = {row["path"]: row["recording"] for row in rows if row["speaker"] == BIRD}
    mine = [row for row in read_annotations(folder / "syllables.csv") if row.path in recording]
    counts = {label: sum(row.label == label for row in mine) for label in {row.label for row in mine}}
    kept = [
        replace(row, fields={"recording": recording[row.path], "speaker": BIRD})
        for row in mine
        if counts[row.label] >= FEWEST
    ]
    return located(kept, root=folder)


def every_syllable(rows: Rows, folder: Path, *, who: bool = False) -> list[Annotation]:
    """The syllables of all birds under one label, as letters mean something in one bird alone, or by who sings them."""
    recording = {row["path"]: (row["recording"], row["speaker"]) for row in rows}
    found = []
    for row in read_annotations(folder / "syllables.csv"):
        tape, speaker = recording[row.path]
        label = speaker if who else "syllable"
        found.append(replace(row, label=label, fields={"recording": tape, "speaker": speaker}))
    return located(found, root=folder)


def few_of(cuts: CutSet) -> CutSet:
    """Five syllables of each type, of as many recordings as there are: the first of each recording in turn."""
    from lhotse import CutSet

    taken: dict[str, list[Cut]] = defaultdict(list)
    turn: Counter[tuple[str, str]] = Counter()
    for cut in cuts:
        key = (str(read_field(cut, "label")), source_of(cut))
        taken[f"{key[0]} {turn[key]:04d}"].append(cut)
        turn[key] += 1
    kept: dict[str, list[Cut]] = defaultdict(list)
    for name in sorted(taken):
        label = name.rsplit(" ", 1)[0]
        kept[label] += taken[name][: FEW - len(kept[label])]
    return CutSet.from_cuts(cut for rows in kept.values() for cut in rows)


def main() -> None:
    arguments = folder_parser(__doc__, "folder with manifest.csv, syllables.csv and audio/").parse_args()
    prepare(arguments.folder, arguments.out)


if __name__ == "__main__":
    run(main)
