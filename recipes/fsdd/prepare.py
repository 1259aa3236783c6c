"""Manifests of the Free Spoken Digit Dataset, from its published layout or from a folder with a manifest.csv.

python recipes/fsdd/prepare.py FOLDER data/fsdd                           # the published split
python recipes/fsdd/prepare.py FOLDER OUT --split speaker_disjoint        # test speakers are not heard in training
python recipes/fsdd/prepare.py FOLDER --verify                            # are these the published samples?
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import soundfile
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, files_named, folder_parser, run
from audiossl.data.sources import cuts_from_csv

NAME = re.compile(r"(\d)_([a-z]+)_(\d+)")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DEV_SPEAKERS, TEST_SPEAKERS = ("nicolas",), ("theo", "yweweler")
SHOTS, NUM_DRAWS = 5, 5
# Of the 3000 recordings at commit 26eb9aaf76e81b692f806f9140c2d2777410d7a1. GitHub may pack the same files into other
# bytes at any time, and a FLAC of a recording is as good as its WAV: so the samples are what is hashed.
SAMPLES_SHA256 = "15623e82c083db98c4bb55897aaefc7cba2cfd2dcd4650027babe0f3954fd372"


def sound_files(folder: Path) -> list[Path]:
    """All `{digit}_{speaker}_{take}` recordings at any depth, by name."""
    return sorted((path for path, _ in files_named(folder, NAME)), key=lambda path: path.stem)


def samples_digest(files: Iterable[Path]) -> str:
    """SHA-256 over lines `name sha256-of-the-16-bit-little-endian-samples`, in the order of the names."""
    total = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.stem):
        samples, _ = soundfile.read(path, dtype="int16")
        digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
        total.update(f"{path.stem} {digest}\n".encode())
    return total.hexdigest()


def row_of(path: Path, folder: Path) -> dict[str, object]:
    digit, speaker, _ = path.stem.split("_")
    row = {"path": path.relative_to(folder), "speaker": speaker, "label": digit}
    return {**row, "transcript": WORDS[int(digit)], "language": "en"}


def cuts_of(folder: Path, out: Path) -> list[Cut]:
    """All recordings as cuts; the published layout is first written down as a table, OUT/recordings.csv."""
    if (folder / "manifest.csv").is_file():
        splits = cuts_from_csv(folder / "manifest.csv")
    else:
        files = sound_files(folder)
        if not files:
            raise AudiosslError(f"{folder} has no recording named like 7_jackson_32.wav; give the unpacked dataset.")
        splits = cuts_of_table((row_of(path, folder) for path in files), out / "recordings.csv", folder)
    return sorted((cut for cuts in splits.values() for cut in cuts), key=lambda cut: str(cut.id))


def published_split(cut: Cut) -> str:
    """The dataset's own rule, takes 0 to 4 are for testing; takes 5 to 9 are taken from its training part for dev."""
    take = int(str(cut.id).rsplit("_", 1)[1])
    return "test" if take < 5 else "dev" if take < 10 else "train"


def speaker_disjoint_split(cut: Cut) -> str:
    speaker = cut.supervisions[0].speaker
    return "test" if speaker in TEST_SPEAKERS else "dev" if speaker in DEV_SPEAKERS else "train"


def few_shot(cuts: Iterable[Cut], seed: int) -> list[Cut]:
    """SHOTS cuts of each label, drawn with `seed`, whatever the order of the cuts."""
    by_label = defaultdict(list)
    for cut in cuts:
        by_label[cut.supervisions[0].custom["label"]].append(cut)
    drawn = []
    for label, members in sorted(by_label.items()):
        members.sort(key=lambda cut: Path(cut.id).name)  # equal in both layouts
        drawn += random.Random(f"{seed} {label}").sample(members, min(SHOTS, len(members)))
    return drawn


def prepare(folder: Path, out: Path, split: str) -> dict[str, list[Cut]]:
    """Write the manifests and return their rows."""
    rule = {"published": published_split, "speaker_disjoint": speaker_disjoint_split}[split]
    splits: dict[str, list[Cut]] = {"train": [], "dev": [], "test": []}
    for cut in cuts_of(folder, out):
        splits[rule(cut)].append(cut)
    for seed in range(NUM_DRAWS):
        splits[f"train_{SHOTS}shot_seed{seed}"] = few_shot(splits["train"], seed)
    write_manifests({name: CutSet.from_cuts(cuts) for name, cuts in splits.items()}, out)
    return splits


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked dataset, or a folder with a manifest.csv of it", out_nargs="?")
    parser.add_argument("--split", choices=("published", "speaker_disjoint"), default="published")
    parser.add_argument("--verify", action="store_true", help="compare all samples with the published ones")
    arguments = parser.parse_args()
    if arguments.verify:
        files = sound_files(arguments.folder)
        if samples_digest(files) != SAMPLES_SHA256:
            sys.exit(f"error: {arguments.folder} is not the published dataset: {len(files)} recordings, other samples.")
        print(f"{len(files)} recordings, sample for sample the published ones.")
    if arguments.out:
        splits = prepare(arguments.folder, arguments.out, arguments.split)
        print(f"{arguments.out}: {described(splits)}")
    elif not arguments.verify:
        parser.error("give a folder for the manifests, or --verify")


if __name__ == "__main__":
    run(main)
