"""Manifests for recognising read speech: whole utterances with their transcripts.

    python recipes/libri_mini/prepare_asr.py FOLDER data/libri_mini/asr

FOLDER holds manifest.csv (path, transcript, speaker, split) and the recordings that it names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with a manifest.csv that has transcripts")
    parser.add_argument("out", type=Path, help="folder for the manifests")
    arguments = parser.parse_args()
    splits = cuts_from_csv(arguments.folder / "manifest.csv")
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: " + ", ".join(f"{name} {len(cuts)}" for name, cuts in splits.items()))


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
