"""One manifest of ESC-50 with its official folds, from the published table.

    python recipes/esc50/prepare.py FOLDER data/esc50
    python recipes/esc50/prepare.py FOLDER data/esc50/esc10 --esc10        # the ten classes of ESC-10

FOLDER has meta/esc50.csv and audio/. The `speaker` of a clip is the recording on Freesound that it was cut from
(`src_file`): clips of one are not independent, so intervals draw them together, and no dev part shares one with its
training part.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError, ManifestError

COLUMNS = ("filename", "fold", "category", "esc10", "src_file")


def prepare(folder: Path, out: Path, only_esc10: bool = False) -> int:
    """Write out/recordings.csv and out/all.jsonl.gz; the number of clips."""
    table = folder / "meta" / "esc50.csv"
    if not table.is_file():
        raise ManifestError(f"There is no {table}; give the unpacked corpus, which has meta/ and audio/.")
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise ManifestError(f"{table} is not the published table: it lacks one of the columns {', '.join(COLUMNS)}.")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "recordings.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "speaker", "label", "fold"])
        for row in rows:
            if row["esc10"] == "True" or not only_esc10:
                writer.writerow([f"audio/{row['filename']}", row["src_file"], row["category"], row["fold"]])
    splits = cuts_from_csv(out / "recordings.csv", audio_root=folder)
    write_manifests(splits, out)
    return len(splits["all"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the unpacked corpus")
    parser.add_argument("out", type=Path, help="folder for the manifest")
    parser.add_argument("--esc10", action="store_true", help="only the ten classes of ESC-10")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {prepare(arguments.folder, arguments.out, arguments.esc10)} clips")


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
