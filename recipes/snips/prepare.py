"""Manifests of Audio SNIPS as SUPERB has it: synthetic voices, and transcripts with their slots.

    python recipes/snips/prepare.py FOLDER data/snips

FOLDER holds all.iob.snips.txt and the folders train, valid and test with recordings such as Ivy-snips-train-0.wav. A
line of the text is `NAME BOS play nina simone EOS`, a tab, and a label a word, `O O artist artist PlayMusic`: the type
of the slot that the word is in or O (BIO tags are understood as well), and the intent for the last.

Eight voices are trained on, four others are dev and four others are test, of the sentences of each part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, files_named, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

PARTS = {"train": "train", "valid": "dev", "test": "test"}
VOICES = {
    "train": ("Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"),
    "valid": ("Aditi", "Amy", "Geraint", "Nicole"),
    "test": ("Brian", "Emma", "Raveena", "Russell"),
}
TEXT = "all.iob.snips.txt"
NAME = re.compile(r"(?P<voice>[A-Za-z]+)-snips-(?P<part>train|valid|test)-\d+")
DROPPED = "?!.,;-"  # words that are none


class Said(NamedTuple):
    """What an utterance says: its words, the same with slots marked, and what it wants."""

    words: str
    slots: str
    intent: str


def spoken(words: Sequence[str]) -> list[str]:
    """The words that are said."""
    return ["AND" if word == "&" else word for word in words if word not in DROPPED]


def marked(words: Sequence[str], labels: Sequence[str]) -> str:
    """A text with the ends of its slots.

    >>> marked("play nina simone & band .".split(), ["O", "artist", "artist", "artist", "artist", "O"])
    'play B-artist nina simone AND band E-artist'
    """
    found: list[str] = []
    is_open = ""
    for word, label in zip(words, labels, strict=True):
        if word in DROPPED:
            continue
        name = "" if label == "O" else re.sub(r"^[BI]-", "", label)
        if is_open and (name != is_open or label.startswith("B-")):
            found.append(f"E-{is_open}")
            is_open = ""
        if name and not is_open:
            found.append(f"B-{name}")
        is_open = name
        found += spoken([word])
    return " ".join([*found, f"E-{is_open}"] if is_open else found)


def texts(path: Path) -> Iterator[tuple[str, Said]]:
    """The name of each utterance and what it says."""
    if not path.is_file():
        raise ManifestError(f"There is no {path}; give the folder of Audio SNIPS as SUPERB has it.")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        said, _, tags = line.partition("\t")
        name, *words = said.split()
        labels = tags.split()
        if len(words) < 3 or len(words) != len(labels):
            raise ManifestError(
                f"{path} line {number} has {len(words)} words and {len(labels)} labels; there is one for each, "
                f"with BOS and EOS."
            )
        yield name, Said(" ".join(spoken(words[1:-1])), marked(words[1:-1], labels[1:-1]), labels[-1])


def rows_of(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each recording of the voices of its part. Raises ManifestError for one without a text."""
    said = dict(texts(folder / TEXT))
    for part, split in PARTS.items():
        for path, match in files_named(folder / part, NAME):
            if match["part"] != part or match["voice"] not in VOICES[part]:
                continue
            if path.stem not in said:
                raise ManifestError(f"{path} has no line in {folder / TEXT}; give the whole text.")
            text = said[path.stem]
            yield {
                "path": str(path.relative_to(folder)),
                "speaker": match["voice"],
                "transcript": text.words,
                "slots": text.slots,
                "intent": text.intent,
                "language": "en",
                "split": split,
            }


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/recordings.csv and the three manifests, and return their rows."""
    splits = cuts_of_table(rows_of(folder), out / "recordings.csv", folder)
    if lacking := [split for split in PARTS.values() if split not in splits]:
        raise ManifestError(f"{folder} has no recording for {lacking[0]}; give the folder with train, valid and test.")
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, f"the folder with {TEXT}, train, valid and test").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
