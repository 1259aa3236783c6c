"""Manifests of Speech Commands, version 0.01 or 0.02: ten words, `_unknown_` for all others, and `_silence_`.

    python recipes/speech_commands/prepare.py FOLDER data/speech_commands [--test-set FOLDER]

FOLDER has a folder of recordings for each word, _background_noise_/, validation_list.txt and testing_list.txt, as
published. Train, dev and test are those of the two lists, which go by a hash of the speaker. --test-set: the published
test set of twelve folders; without it, the test part has as many other words as it has of one word on average, drawn
with a fixed seed, and as many seconds of silence.

Silence is cut from the background noise, a second each: the first 80 % of each file for training, the next 10 % for
dev, the last 10 % for the test, so that none of it is in two parts. `speaker` is the hash in a recording's name, and
for silence the noise.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import soundfile

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
SILENCE, UNKNOWN, NOISE = "_silence_", "_unknown_", "_background_noise_"
SPANS = {"train": (0.0, 0.8), "dev": (0.8, 0.9), "test": (0.9, 1.0)}  # of each noise file
SECOND_S, GRID_S = 1.0, 0.01
NAME = re.compile(r"([0-9a-f]{8})_nohash_\d+")


class Row(NamedTuple):
    """A line of the table; start and end in seconds, '' for a whole file."""

    path: Path
    label: str
    speaker: str
    split: str
    start: str = ""
    end: str = ""


def spoken(folder: Path) -> list[Row]:
    """All words, in the part that the lists say."""
    listed = {}
    for split, name in (("dev", "validation_list.txt"), ("test", "testing_list.txt")):
        if not (folder / name).is_file():
            raise ManifestError(f"There is no {folder / name}; give the unpacked archive of version 0.01 or 0.02.")
        listed.update(dict.fromkeys((folder / name).read_text(encoding="utf-8").split(), split))
    rows = []
    for path in sorted(folder.glob("[!_]*/*.wav")):
        match, word = NAME.fullmatch(path.stem), path.parent.name
        if match is None:
            raise ManifestError(
                f"{path} is not named like 0a7c2a8d_nohash_0.wav; give the archive as it was published."
            )
        split = listed.get(f"{word}/{path.name}", "train")
        rows.append(Row(path, word if word in WORDS else UNKNOWN, match[1], split))
    if not any(row.label in WORDS for row in rows):
        raise ManifestError(f"{folder} has none of the folders {', '.join(WORDS)}; give the unpacked archive.")
    return rows


def silence(folder: Path, split: str, count: int) -> Iterator[Row]:
    """`count` different seconds of the noise files' part for `split`, drawn with its name as the seed."""
    low, high = SPANS[split]
    places = []
    for path in sorted((folder / NOISE).glob("*.wav")):
        length_s = soundfile.info(path).duration
        last = int((high * length_s - SECOND_S) / GRID_S)
        places += [(path, number * GRID_S) for number in range(int(low * length_s / GRID_S) + 1, last + 1)]
    if not places:
        raise ManifestError(f"{folder / NOISE} has no noise of at least ten seconds; give the archive as published.")
    for path, start_s in sorted(random.Random(split).sample(places, min(count, len(places)))):
        yield Row(path, SILENCE, path.stem, split, f"{start_s:.2f}", f"{start_s + SECOND_S:.2f}")


def as_many_unknown(rows: Sequence[Row], split: str, count: int) -> list[Row]:
    """The rows of a part with `count` of its other words, drawn with its name as the seed."""
    others = [row for row in rows if row.label == UNKNOWN]
    drawn = random.Random(split).sample(others, min(count, len(others)))
    return [row for row in rows if row.label != UNKNOWN] + sorted(drawn)


def published_test(folder: Path) -> list[Row]:
    """The twelve folders of the published test set."""
    rows = []
    for path in sorted(folder.glob("*/*.wav")):
        label = path.parent.name
        if label not in (*WORDS, SILENCE, UNKNOWN):
            raise ManifestError(f"{path.parent} is none of the twelve folders of the test set; give it as published.")
        match = NAME.search(path.stem)
        rows.append(Row(path, label, match[1] if match else path.stem, "test"))
    if not rows:
        raise ManifestError(f"{folder} has no recording; give the unpacked test set.")
    return rows


def prepare(folder: Path, out: Path, test_set: Path | None = None) -> dict[str, CutSet]:
    """Write out/recordings.csv and the three manifests, and return their rows."""
    by_split: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for row in spoken(folder):
        by_split[row.split].append(row)
    for split, rows in by_split.items():
        sizes = Counter(row.label for row in rows if row.label in WORDS)
        mean = round(sum(sizes.values()) / max(len(sizes), 1))
        if split != "train":  # where data.balance does not draw
            by_split[split] = as_many_unknown(rows, split, mean)
        by_split[split] += silence(folder, split, mean)
    if test_set is not None:
        by_split["test"] = published_test(test_set)
    lines = ({**row._asdict(), "path": row.path.resolve()} for rows in by_split.values() for row in rows)
    splits = cuts_of_table(lines, out / "recordings.csv", folder)
    write_manifests(splits, out)
    return splits


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked archive")
    parser.add_argument("--test-set", type=Path, help="the unpacked archive of the test set")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out, arguments.test_set))}")


if __name__ == "__main__":
    run(main)
