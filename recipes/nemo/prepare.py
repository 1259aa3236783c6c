"""One manifest of nEMO, from which folds are drawn: speaker and emotion are in the name of each recording.

    python recipes/nemo/prepare.py FOLDER data/nemo

FOLDER holds SPEAKER_emotion_SENTENCE.wav (or .flac) at any depth, as a clone of the public repository does.
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

NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<label>[a-z]+)_(?P<sentence>\d+)")


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    named = files_named(folder, NAME)
    if not named:
        raise ManifestError(f"{folder} has no recording named like EB0_anger_1.wav; give a clone of the corpus.")
    rows = ({"path": path.relative_to(folder), **match.groupdict(), "language": "pl"} for path, match in named)
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "a clone of the public repository, or a folder of its recordings").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
