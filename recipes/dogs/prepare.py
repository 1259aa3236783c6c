"""Manifests of barks of ten dogs, as BEANS' archive of them has it.

    python recipes/dogs/prepare.py FOLDER data/dogs

FOLDER has annotations.csv (filename, name) and audio/. A dog's barks come from few sessions, which the table does not
name: rows are cross-validated at random, so that sessions are on both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.tables import parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    table = folder / "annotations.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; unpack dog_barks.zip and give its folder.")
    rows = [row for _, row in parse_table(table, read_text(table, "table")).rows]
    if not rows or not {"filename", "name"} <= set(rows[0]):
        raise ManifestError(f"{table} has no columns filename and name; it is not the table of the archive.")
    kept = ({"path": f"audio/{row['filename']}", "label": row["name"], "speaker": row["name"]} for row in rows)
    splits = cuts_of_table(kept, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "the unpacked archive, with annotations.csv and audio/").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
