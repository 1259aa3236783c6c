"""One manifest of nEMO, from which folds are drawn: speaker and emotion are in the name of each recording.

    python recipes/nemo/prepare.py FOLDER data/nemo

FOLDER holds SPEAKER_emotion_SENTENCE.wav (or .flac) at any depth, as a clone of the public repository does.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError, ManifestError

NAME = re.compile(r"([A-Z]{2}\d)_([a-z]+)_(\d+)")


def prepare(folder: Path, out: Path) -> int:
    """Write out/recordings.csv and out/all.jsonl.gz; the number of recordings."""
    found = sorted(path for path in folder.rglob("*_*_*") if path.suffix in (".wav", ".flac"))
    named = [(path, match) for path in found if (match := NAME.fullmatch(path.stem))]
    if not named:
        raise ManifestError(f"{folder} has no recording named like EB0_anger_1.wav; give a clone of the corpus.")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "recordings.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["path", "speaker", "label", "sentence", "language"])
        for path, match in named:
            writer.writerow([path.relative_to(folder), *match.groups(), "pl"])
    splits = cuts_from_csv(out / "recordings.csv", audio_root=folder)
    write_manifests(splits, out)
    return len(splits["all"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a clone of the public repository, or a folder of its recordings")
    parser.add_argument("out", type=Path, help="folder for the manifest")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {prepare(arguments.folder, arguments.out)} recordings")


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
