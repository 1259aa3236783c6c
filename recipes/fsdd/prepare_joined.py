"""Digits said one after the other, so that the boundaries of words are known to a sample.

    python recipes/fsdd/prepare.py FOLDER data/fsdd
    python recipes/fsdd/prepare_joined.py data/fsdd data/fsdd/joined

FOLDER has the manifests of the published split. Each recording is six digits of one speaker without a pause between
them, drawn from takes 0 to 9, each of which is said once. Its supervisions are the digits. Dev has three of the six
speakers, test the others.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.cut import Cut

from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.reading import read_cut

NUM_DIGITS = 6
RATE_HZ = 8000
DEV_SPEAKERS = ("george", "jackson", "lucas")


def joined(cuts: list[Cut], name: str, folder: Path) -> Cut:
    """One recording of several, with a supervision for each."""
    sounds = [read_cut(cut, RATE_HZ) for cut in cuts]
    path = folder / f"{name}.flac"
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(sounds), RATE_HZ)
    recording = Recording.from_file(path, recording_id=name)
    edges = np.cumsum([0, *(len(sound) for sound in sounds)]) / RATE_HZ
    said = []
    for place, cut in enumerate(cuts):
        own = cut.supervisions[0]
        start_s, end_s = float(edges[place]), float(edges[place + 1])
        custom = {"label": own.custom["label"]}
        spoken = SupervisionSegment(
            f"{name}-{place}", name, start_s, end_s - start_s, speaker=own.speaker, text=own.text, custom=custom
        )
        said.append(spoken)
    return MonoCut(name, 0.0, recording.duration, 0, said, recording=recording)


def main() -> None:
    parser = folder_parser(__doc__, "folder with the manifests of prepare.py")
    arguments = parser.parse_args()
    rows = chain.from_iterable(
        read_manifest(arguments.folder / f"{name}.jsonl.gz") for name in ("train", "dev", "test")
    )
    speakers: dict[str, list[Cut]] = defaultdict(list)
    for cut in sorted(rows, key=lambda cut: str(cut.id)):
        if int(str(cut.id).rpartition("_")[2]) < 10:
            speakers[cut.supervisions[0].speaker].append(cut)
    splits: dict[str, list[Cut]] = {"dev": [], "test": []}
    for speaker, cuts in speakers.items():
        order = np.random.default_rng(sum(map(ord, speaker))).permutation(len(cuts))
        for number in range(len(cuts) // NUM_DIGITS):
            chosen = [cuts[place] for place in order[number * NUM_DIGITS : (number + 1) * NUM_DIGITS]]
            made = joined(chosen, f"{speaker}_{number:02d}", arguments.out / "audio")
            splits["dev" if speaker in DEV_SPEAKERS else "test"].append(made)
    write_manifests({name: CutSet.from_cuts(cuts) for name, cuts in splits.items()}, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
