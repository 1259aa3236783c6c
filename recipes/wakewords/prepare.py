"""Manifests of six wake words: the recordings that `split.csv` beside this script names, in its split.

    python recipes/wakewords/prepare.py FOLDER data/wakewords

FOLDER holds audio/<word>/<number>.flac, as a clone of the public repository does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError

SPLIT = Path(__file__).resolve().parent / "split.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a clone of the public repository, or a folder with its audio/")
    parser.add_argument("out", type=Path, help="folder for the manifests")
    arguments = parser.parse_args()
    splits = cuts_from_csv(SPLIT, audio_root=arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: " + ", ".join(f"{name} {len(cuts)}" for name, cuts in splits.items()))


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
