"""One manifest of the speech of RAVDESS, from which folds are drawn: all is in the names of the files.

    python recipes/ravdess/prepare.py FOLDER data/ravdess

FOLDER holds Actor_01/03-01-06-01-02-01-12.wav and so on at any depth: modality (03 is sound alone), channel (01 is
speech), emotion, intensity, statement, repetition and actor. Songs and videos are left out.
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

NAME = re.compile(
    r"03-01-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<repetition>0[12])-(?P<speaker>\d\d)"
)
EMOTIONS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprised")
INTENSITIES = ("normal", "strong")


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    rows = [
        {
            "path": path.relative_to(folder),
            "label": EMOTIONS[int(match["emotion"]) - 1],
            "speaker": match["speaker"],
            "sentence": match["sentence"],
            "intensity": INTENSITIES[int(match["intensity"]) - 1],
            "sex": "female" if int(match["speaker"]) % 2 == 0 else "male",
            "language": "en",
        }
        for path, match in files_named(folder, NAME)
    ]
    if not rows:
        raise ManifestError(
            f"{folder} has no speech named like 03-01-06-01-02-01-12.wav; give Audio_Speech_Actors_01-24."
        )
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "Audio_Speech_Actors_01-24, or a folder above it").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
