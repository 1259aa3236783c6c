"""One manifest of ESC-10 with its official folds, which are in the name of each clip.

    python recipes/esc10/prepare.py FOLDER data/esc10

FOLDER is the unpacked corpus, `001 - Dog bark/FOLD-SOURCE-TAKE.ogg` and so on, or holds CLASS_FOLD-SOURCE-TAKE.flac at
any depth. The `speaker` of a clip is the recording on Freesound that it was cut from: clips of one are not independent,
so intervals draw them together, and no dev part shares one with its training part.
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

NAME = re.compile(r"(?:(?P<label>[a-z_]+)_)?(?P<fold>\d)-(?P<source>\d+)-(?P<take>[A-Z])")


def row_of(path: Path, match: re.Match[str], folder: Path) -> dict[str, object]:
    """The label is in the file's name, or in its folder's: `001 - Dog bark` is dog_bark."""
    label = match["label"] or path.parent.name.split(" - ")[-1].strip().lower().replace(" ", "_")
    return {"path": path.relative_to(folder), "speaker": match["source"], "label": label, "fold": match["fold"]}


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and out/all.jsonl.gz, and return the rows."""
    named = files_named(folder, NAME, (".ogg", ".flac", ".wav"))
    if not named:
        raise ManifestError(f"{folder} has no clip named like 1-100032-A.ogg; give the unpacked corpus.")
    rows = (row_of(path, match, folder) for path, match in named)
    splits = cuts_of_table(rows, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "the unpacked corpus").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
