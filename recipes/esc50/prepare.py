"""One manifest of ESC-50 with its official folds, from the published table.

    python recipes/esc50/prepare.py FOLDER data/esc50
    python recipes/esc50/prepare.py FOLDER data/esc50/esc10 --esc10        # the ten classes of ESC-10

FOLDER has meta/esc50.csv and audio/. The `speaker` of a clip is the recording on Freesound that it was cut from
(`src_file`): clips of one are not independent, so intervals draw them together, and no dev part shares one with its
training part.
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

COLUMNS = ("filename", "fold", "category", "esc10", "src_file")


def prepare(folder: Path, out: Path, only_esc10: bool = False) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    table = folder / "meta" / "esc50.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; give the unpacked corpus, which has meta/ and audio/.")
    rows = [row for _, row in parse_table(table, read_text(table, "table")).rows]
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise ManifestError(f"{table} is not the published table: it lacks one of the columns {', '.join(COLUMNS)}.")
    kept = (
        {"path": f"audio/{row['filename']}", "speaker": row["src_file"], "label": row["category"], "fold": row["fold"]}
        for row in rows
        if row["esc10"] == "True" or not only_esc10
    )
    splits = cuts_of_table(kept, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked corpus")
    parser.add_argument("--esc10", action="store_true", help="only the ten classes of ESC-10")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out, arguments.esc10))}")


if __name__ == "__main__":
    run(main)
