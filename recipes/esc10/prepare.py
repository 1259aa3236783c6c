"""One manifest of ESC-10 with its official folds, which are in the name of each clip.

    python recipes/esc10/prepare.py FOLDER data/esc10

FOLDER is the unpacked corpus, `001 - Dog bark/FOLD-SOURCE-TAKE.ogg` and so on, or holds CLASS_FOLD-SOURCE-TAKE.flac at
any depth. The `speaker` of a clip is the recording on Freesound that it was cut from: clips of one are not independent,
so intervals draw them together, and no dev part shares one with its training part.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError, ManifestError

NAME = re.compile(r"(?:(?P<label>[a-z_]+)_)?(?P<fold>\d)-(?P<source>\d+)-(?P<take>[A-Z])")


def label_of(path: Path, match: re.Match[str]) -> str:
    """From the file's name, or from its folder's: `001 - Dog bark` is dog_bark."""
    return match["label"] or path.parent.name.split(" - ")[-1].strip().lower().replace(" ", "_")


def prepare(folder: Path, out: Path) -> int:
    """Write out/recordings.csv and out/all.jsonl.gz; the number of clips."""
    found = sorted(path for path in folder.rglob("*-*-*") if path.suffix in (".ogg", ".flac", ".wav"))
    named = [(path, match) for path in found if (match := NAME.fullmatch(path.stem))]
    if not named:
        raise ManifestError(f"{folder} has no clip named like 1-100032-A.ogg; give the unpacked corpus.")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "recordings.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["path", "speaker", "label", "fold"])
        for path, match in named:
            writer.writerow([path.relative_to(folder), match["source"], label_of(path, match), match["fold"]])
    splits = cuts_from_csv(out / "recordings.csv", audio_root=folder)
    write_manifests(splits, out)
    return len(splits["all"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the unpacked corpus")
    parser.add_argument("out", type=Path, help="folder for the manifest")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {prepare(arguments.folder, arguments.out)} clips")


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
