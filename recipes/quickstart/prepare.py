"""Manifests of ten spoken digits: real recordings (the Free Spoken Digit Dataset) or the synthetic corpus shipped here.

python recipes/quickstart/prepare.py FOLDER data/quickstart
"""

from __future__ import annotations

import runpy
from pathlib import Path

from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_csv

HERE = Path(__file__).resolve().parent


def main() -> None:
    arguments = folder_parser(__doc__, "the recordings").parse_args()
    if arguments.folder.resolve() == HERE / "corpus":
        splits = cuts_from_csv(arguments.folder / "manifest.csv")
        write_manifests(splits, arguments.out)
        what = "the synthetic voices shipped with the recipe (set AUDIOSSL_DATA or --download for real ones)"
    else:
        splits = runpy.run_path(str(HERE.parent / "fsdd" / "prepare.py"))["prepare"](
            arguments.folder, arguments.out, "published"
        )
        what = f"the Free Spoken Digit Dataset in {arguments.folder}"
    print(f"Recordings: {what}: {described({name: splits[name] for name in ('train', 'dev', 'test')})}")


if __name__ == "__main__":
    run(main)
