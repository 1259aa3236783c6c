"""Manifests of six wake words: the recordings that `split.csv` beside this script names, in its split.

    python recipes/wakewords/prepare.py FOLDER data/wakewords

FOLDER holds audio/<word>/<number>.flac, as a clone of the public repository does.
"""

from __future__ import annotations

from pathlib import Path

from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_csv

SPLIT = Path(__file__).resolve().parent / "split.csv"


def main() -> None:
    arguments = folder_parser(__doc__, "a clone of the public repository, or a folder with its audio/").parse_args()
    splits = cuts_from_csv(SPLIT, audio_root=arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
