"""Manifests of ten spoken digits: real recordings (the Free Spoken Digit Dataset) or the synthetic corpus shipped here.

python recipes/quickstart/prepare.py FOLDER data/quickstart
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from audiossl.data.manifests import cuts_from_csv, write_manifests
from audiossl.errors import AudiosslError

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the recordings")
    parser.add_argument("out", type=Path, help="folder for the manifests")
    arguments = parser.parse_args()
    if arguments.folder.resolve() == HERE / "corpus":
        splits = cuts_from_csv(arguments.folder / "manifest.csv")
        write_manifests(splits, arguments.out)
        what = "the synthetic voices shipped with the recipe (set AUDIOSSL_DATA or --download for real ones)"
    else:
        splits = runpy.run_path(str(HERE.parent / "fsdd" / "prepare.py"))["prepare"](
            arguments.folder, arguments.out, "published"
        )
        what = f"the Free Spoken Digit Dataset in {arguments.folder}"
    print(f"Recordings: {what}: " + ", ".join(f"{name} {len(splits[name])}" for name in ("train", "dev", "test")))


if __name__ == "__main__":
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
