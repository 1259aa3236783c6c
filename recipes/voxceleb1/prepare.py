"""Manifests and trials of VoxCeleb1: speakers to verify that nobody trained on, and speakers to identify.

    python recipes/voxceleb1/prepare.py FOLDER data/voxceleb1

FOLDER is VoxCeleb1 as published, wav/SPEAKER/VIDEO/NUMBER.wav of all 1251 speakers, with two files of its site:
veri_test2.txt (the cleaned trials; SUPERB calls it voxceleb1_test_v2.txt) and iden_split.txt (veri_test_class.txt
there). lhotse's preparation is not used: it asks the network for the trials, and knows no splits for identification.

verification: test has the recordings of the trials; train_all has all speakers that are in no trial, of whom `train`
leaves out those of dev, 40 drawn by seed; dev's 20000 trials are drawn too, half of one speaker in two videos, half of
two speakers. identification: as iden_split.txt has it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, rows_named, run
from audiossl.data.tables import numbered_lines, read_text
from audiossl.downstreams.speaker_verification.drawing import drawn_trials, write_trials
from audiossl.downstreams.speaker_verification.trials import read_trials

TRIALS = ("veri_test2.txt", "voxceleb1_test_v2.txt")
SPLITS = ("iden_split.txt", "veri_test_class.txt")
SPLIT_NAMES = {"1": "train", "2": "dev", "3": "test"}
DEV_SPEAKERS, DEV_TRIALS, SEED = 40, 20_000, 0


def first_of(folder: Path, names: Sequence[str]) -> Path:
    """The first of these files that is there, in the folder or in its `meta`. Raises AudiosslError."""
    places = [place / name for name in names for place in (folder, folder / "meta")]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise AudiosslError(f"{folder} has no {names[0]} (nor {names[1]}); put that file of VoxCeleb's site into it.")
    return found


def read_split(path: Path) -> dict[str, str]:
    """Recording -> train, dev or test, from lines like `1 id10003/na8-QEFmj44/00003.wav`."""
    found = {}
    for where, line in numbered_lines(path, read_text(path, "list of splits")):
        words = line.split()
        if len(words) != 2 or words[0] not in SPLIT_NAMES:
            raise ManifestError(f"{where} is not `1|2|3 recording`: {line[:80]!r}; get the file again.")
        found[words[1]] = SPLIT_NAMES[words[0]]
    return found


def all_cuts(folder: Path, out: Path) -> dict[str, Cut]:
    """Rows by recording, as the lists name it; the table behind them is kept in `out`."""
    root = folder / "wav"
    files = sorted(root.glob("id*/*/*.wav"))
    if not files:
        raise AudiosslError(f"{folder} has no wav/id*/*/*.wav; give the unpacked VoxCeleb1.")
    rows = ({"path": path.relative_to(root), "speaker": path.parts[-3], "video": path.parts[-2]} for path in files)
    return {f"{cut.id}.wav": cut for cut in cuts_of_table(rows, out / "recordings.csv", root)["all"]}


def videos_of(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Speaker -> video -> recordings."""
    videos: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        speaker, video, _ = name.split("/")
        videos[speaker][video].append(name)
    return videos


def chosen(cuts: Mapping[str, Cut], names: Iterable[str], source: Path) -> CutSet:
    """The rows of these recordings. Raises AudiosslError for one that is not there."""
    return rows_named(cuts, names, source, "unpack all parts (the four of dev, and test) into one folder")


def prepare_verification(cuts: Mapping[str, Cut], trials: Path, out: Path) -> dict[str, CutSet]:
    """Write verification/, and return its splits."""
    listed = read_trials(trials)
    tested = {name for trial in listed for name in (trial.enrol, trial.test)}
    test_speakers = {name.split("/")[0] for name in tested}
    others = [name for name in cuts if name.split("/")[0] not in test_speakers]
    speakers = sorted({name.split("/")[0] for name in others})
    rng = random.Random(SEED)
    dev = set(rng.sample(speakers, min(DEV_SPEAKERS, max(2, len(speakers) // 4))))
    drawn = drawn_trials(videos_of(name for name in others if name.split("/")[0] in dev), DEV_TRIALS, rng)
    splits = {
        "train_all": chosen(cuts, others, trials),
        "train": chosen(cuts, (name for name in others if name.split("/")[0] not in dev), trials),
        "dev": chosen(cuts, (name for _, *pair in drawn for name in pair), trials),
        "test": chosen(cuts, tested, trials),
    }
    write_manifests(splits, out)
    write_trials(out / "trials_dev.txt", drawn)
    write_trials(out / "trials_test.txt", [(int(trial.target), trial.enrol, trial.test) for trial in listed])
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "the unpacked VoxCeleb1", "folder for the manifests and trials").parse_args()
    trials, split_file = (first_of(arguments.folder, names) for names in (TRIALS, SPLITS))
    cuts = all_cuts(arguments.folder, arguments.out)
    made = {"verification": prepare_verification(cuts, trials, arguments.out / "verification")}
    split_of = read_split(split_file)
    identification = {
        split: chosen(cuts, (name for name in split_of if split_of[name] == split), split_file)
        for split in SPLIT_NAMES.values()
    }
    write_manifests(identification, arguments.out / "identification")
    for name, splits in {**made, "identification": identification}.items():
        print(f"{arguments.out / name}: {described(splits)}")


if __name__ == "__main__":
    run(main)
