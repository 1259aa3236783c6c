"""Manifests of one of BEANS' twelve data sets, from what its scripts make of the corpora.

    python recipes/beans/prepare.py FOLDER data/beans watkins cbi      # all twelve without names

FOLDER is a clone of github.com/earthspecies/beans in which its scripts have been run, so that FOLDER/data has the
recordings and, of each data set and split, a CSV (path, label) or JSON lines (path, length, annotations). Paths in them
are relative to FOLDER. The splits are BEANS' own. Data sets of detection become windows of the published length and
hop, with the labels of which more than a fifth lies in the window.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import ConfigError, ManifestError, did_you_mean
from audiossl.core.files import read_jsonl
from audiossl.data.annotated import Windows, cuts_of_windows, located
from audiossl.data.annotations import Annotation
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.tables import parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet

SPLITS = {"train": "train", "dev": "valid", "test": "test"}
MIN_OVERLAP = 0.2


class DataSet(NamedTuple):
    """place: of its splits below FOLDER, with {} for BEANS' name of one. windows: seconds and hop of detection."""

    place: str
    windows: tuple[float, float] | None = None


DATA_SETS = {
    "watkins": DataSet("data/watkins/annotations.{}.csv"),
    "bats": DataSet("data/egyptian_fruit_bats/annotations.{}.csv"),
    "cbi": DataSet("data/cbi/annotations.{}.csv"),
    "dogs": DataSet("data/dogs/annotations.{}.csv"),
    "humbugdb": DataSet("data/HumBugDB/data/metadata/{}.csv"),
    "esc50": DataSet("data/esc50/meta/esc50.{}.csv"),
    "speech-commands": DataSet("data/speech_commands/{}.csv"),
    "dcase": DataSet("data/dcase/{}.jsonl", (2.0, 1.0)),
    "enabirds": DataSet("data/enabirds/{}.jsonl", (2.0, 1.0)),
    "hiceas": DataSet("data/hiceas/{}.jsonl", (10.0, 5.0)),
    "rfcx": DataSet("data/rfcx/{}.jsonl", (10.0, 5.0)),
    "hainan-gibbons": DataSet("data/hainan_gibbons/{}.jsonl", (4.0, 2.0)),
}


def prepare(folder: Path, out: Path, name: str) -> dict[str, CutSet]:
    """Write the manifests of one data set into out/name and return its rows."""
    if name not in DATA_SETS:
        raise ConfigError(f"{name!r} is no data set of BEANS. {did_you_mean(name, DATA_SETS)}")
    chosen = DATA_SETS[name]
    splits = {}
    for ours, theirs in SPLITS.items():
        table = folder / chosen.place.format(theirs)
        if not table.is_file():
            raise ManifestError(f"There is no {table}; run BEANS' script of {name} in {folder} first.")
        if chosen.windows is None:
            splits[ours] = calls(table, folder, out / name / f"{ours}.csv")
        else:
            splits[ours] = windows(table, folder, chosen.windows)
    write_manifests(splits, out / name)
    return splits


def calls(table: Path, folder: Path, written: Path) -> CutSet:
    """A row for each recording of a CSV."""
    rows = [row for _, row in parse_table(table, read_text(table, "table")).rows]
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise ManifestError(f"{table} has no columns path and label; it is not a table of BEANS.")
    return cuts_of_table(({"path": row["path"], "label": row["label"]} for row in rows), written, folder)["all"]


def windows(table: Path, folder: Path, lengths_s: tuple[float, float]) -> CutSet:
    """A row for each window of each recording of JSON lines."""
    found: list[Annotation] = []
    recordings: list[str] = []
    for row in read_jsonl(table):
        recordings.append(str(folder / row["path"]))
        for call in row["annotations"]:
            if call["ed"] > call["st"]:  # BEANS passes over those that last no time
                found.append(Annotation(float(call["st"]), float(call["ed"]), str(call["label"]), row["path"]))
    cut = Windows(*lengths_s, min_overlap=MIN_OVERLAP, short="keep")
    return cuts_of_windows(located(found, root=folder), cut, recordings, root=folder)["all"]


def main() -> None:
    parser = folder_parser(__doc__, "a clone of earthspecies/beans whose scripts have been run")
    parser.add_argument("names", nargs="*", help="data sets; all twelve where none is named")
    arguments = parser.parse_args()
    for name in arguments.names or DATA_SETS:
        print(f"{arguments.out / name}: {described(prepare(arguments.folder, arguments.out, name))}")


if __name__ == "__main__":
    run(main)
