"""Manifests of one part of BirdSet: events of focal recordings for training, 5 s of soundscapes for the test.

    python recipes/birdset/prepare.py FOLDER data/birdset/HSN --part HSN

Below FOLDER lie PART_metadata_train.parquet, PART_metadata_test_5s.parquet and the unpacked recordings, at any depth.
Their columns are filepath, ebird_code_multilabel, and detected_events with event_cluster (train) or start_time and
end_time (test_5s). A training row is 5 s around an event of the most frequent cluster, at most five of a recording,
as in BirdSet's own code. The names of the parquet files are from memory [mem].
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError
from audiossl.data.folders import sounds_below
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.reading import audio_facts
from audiossl.data.splits import split_cuts
from audiossl.encoders.embedding_tables import load_pyarrow

if TYPE_CHECKING:
    from lhotse import CutSet

PARTS = ("PER", "NES", "UHH", "HSN", "NBP", "POW", "SSW", "SNE")
WINDOW_S = 5.0
MOST_EVENTS = 5  # of a recording
SHARES = {"train": 0.8, "dev": 0.2}


def prepare(folder: Path, out: Path, part: str) -> dict[str, CutSet]:
    """Write train, dev (whole recordings of the focal ones) and test, and return the rows."""
    places = {path.name: path for path in sounds_below(folder)}
    train = rows_of(folder, f"{part}_metadata_train.parquet", ("filepath", "ebird_code_multilabel", "detected_events"))
    test = rows_of(folder, f"{part}_metadata_test_5s.parquet", ("filepath", "ebird_code_multilabel", "start_time"))
    lines = [line for row in train for line in event_rows(row, places, folder)]
    splits = split_cuts(labelled(lines, out / "train.csv", folder), SHARES, by="recording")
    windows = [line_of(row, places, folder, float(row["start_time"]), float(row["end_time"])) for row in test]
    splits["test"] = labelled(windows, out / "test.csv", folder)
    write_manifests(splits, out)
    return splits


def rows_of(folder: Path, name: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a parquet file anywhere below a folder."""
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        raise ManifestError(f"{len(found)} files named {name} are below {folder}; fetch the part, and give its folder.")
    table = load_pyarrow().parquet.read_table(found[0])
    lacking = [column for column in columns if column not in table.column_names]
    if lacking:
        raise ManifestError(f"{found[0]} has no column {lacking[0]!r}; it has {', '.join(table.column_names)}.")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def event_rows(row: dict[str, Any], places: dict[str, Path], folder: Path) -> list[dict[str, object]]:
    """Five seconds around events of the most frequent cluster that is not noise, else the first five."""
    events, clusters = row["detected_events"] or [], row.get("event_cluster") or []
    kept = [cluster for cluster in clusters if cluster != -1] or list(clusters)
    if kept:
        chosen = Counter(kept).most_common(1)[0][0]
        events = [event for event, cluster in zip(events, clusters, strict=True) if cluster == chosen]
    facts = audio_facts(place_of(row, places))
    lasts_s = facts.num_samples / facts.sample_rate_hz
    lines: dict[float, dict[str, object]] = {}
    for begin, end in events[:MOST_EVENTS] or [(0.0, WINDOW_S)]:
        start_s = round(min(max(0.0, (begin + end - WINDOW_S) / 2), max(0.0, lasts_s - WINDOW_S)), 3)
        lines[start_s] = line_of(row, places, folder, start_s, min(start_s + WINDOW_S, lasts_s))
    return list(lines.values())


def line_of(
    row: dict[str, Any], places: dict[str, Path], folder: Path, start_s: float, end_s: float
) -> dict[str, object]:
    """A row of the table. labels: with | between them, none for no bird."""
    path = place_of(row, places).relative_to(folder).as_posix()
    return {"path": path, "start": start_s, "end": end_s, "label": "|".join(sorted(row["ebird_code_multilabel"] or []))}


def place_of(row: dict[str, Any], places: dict[str, Path]) -> Path:
    name = Path(row["filepath"]).name
    if name not in places:
        raise ManifestError(f"The recording {name} is not there; unpack all archives of the part.")
    return places[name]


def labelled(lines: list[dict[str, object]], table: Path, folder: Path) -> CutSet:
    """Rows of which each says that nothing is heard where nothing is."""
    cuts = cuts_of_table(lines, table, folder)["all"]
    for cut in cuts:
        custom = dict(cut.supervisions[0].custom or {})
        cut.supervisions[0].custom = {**custom, "label": custom.get("label", "")}
    return cuts


def main() -> None:
    parser = folder_parser(__doc__, "the folder of a part, with metadata and unpacked recordings")
    parser.add_argument("--part", choices=PARTS, default="HSN", help="which test set, with the training set of its own")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out, arguments.part))}")


if __name__ == "__main__":
    run(main)
