"""One manifest of Berlin's emotional speech, from which folds are drawn: all is in the names of the files.

    python recipes/emodb/prepare.py FOLDER data/emodb

FOLDER holds 03a01Fa.wav and so on at any depth: speaker (two digits), sentence (a letter and two digits), emotion (a
letter, of the German word) and version (a letter).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, files_named, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<version>[a-z])")
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    rows = [
        {
            "path": path.relative_to(folder),
            "label": EMOTIONS[match["emotion"]],
            "speaker": match["speaker"],
            "sentence": match["sentence"],
            "language": "de",
        }
        for path, match in files_named(folder, NAME)
    ]
    if not rows:
        raise ManifestError(f"{folder} has no recording named like 03a01Fa.wav; give the folder of the corpus.")
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "the folder of the corpus, of which wav/ is a part").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
