"""Manifests for recognising read speech: whole utterances with their transcripts.

    python recipes/libri_mini/prepare_asr.py FOLDER data/libri_mini/asr

FOLDER holds manifest.csv (path, transcript, speaker, split) and the recordings that it names.
"""

from __future__ import annotations

from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_csv


def main() -> None:
    arguments = folder_parser(__doc__, "folder with a manifest.csv that has transcripts").parse_args()
    splits = cuts_from_csv(arguments.folder / "manifest.csv")
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
