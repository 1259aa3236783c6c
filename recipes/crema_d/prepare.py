"""One manifest of CREMA-D, from which folds are drawn: all is in the names of the files.

    python recipes/crema_d/prepare.py FOLDER data/crema_d

FOLDER holds AudioWAV/1001_DFA_ANG_XX.wav and so on: actor, sentence, the emotion that was meant, and its level (LO, MD,
HI, or XX for none).
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

NAME = re.compile(r"(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>[A-Z]+)")
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    rows = [
        {
            "path": path.relative_to(folder),
            "label": EMOTIONS[match["emotion"]],
            "speaker": match["speaker"],
            "sentence": match["sentence"],
            "level": match["level"],
            "language": "en",
        }
        for path, match in files_named(folder, NAME)
    ]
    if not rows:
        raise ManifestError(f"{folder} has no recording named like 1001_DFA_ANG_XX.wav; give a clone of the corpus.")
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "a clone of the public repository, of which AudioWAV/ is a part").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
