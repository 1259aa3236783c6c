"""Manifests and trials of VoxCeleb2 for training, and of VoxCeleb1's three lists for testing.

    python recipes/voxceleb2/prepare.py VOXCELEB2 data/voxceleb2 --voxceleb1 VOXCELEB1

VOXCELEB2 is its dev part as published, dev/aac/SPEAKER/VIDEO/NUMBER.m4a, or converted, wav/SPEAKER/VIDEO/NUMBER.wav.
VOXCELEB1 is the whole of VoxCeleb1, wav/SPEAKER/VIDEO/NUMBER.wav, with the cleaned lists of its site: veri_test2.txt
(O), list_test_all2.txt (E) and list_test_hard2.txt (H). No speaker is in both corpora.

test, extended and hard have the recordings of O, E and H. dev has 60 speakers of VoxCeleb2, drawn by seed, and 20000
trials that are drawn too, half of one speaker in two videos, half of two speakers. train has all other speakers, and
train_all those of dev as well.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, rows_named, run
from audiossl.downstreams.speaker_verification.drawing import drawn_trials, write_trials
from audiossl.downstreams.speaker_verification.trials import read_trials

ROOTS = ("dev/aac", "aac", "dev/wav", "wav")
SUFFIXES = (".m4a", ".wav", ".flac")
LISTS = {"test": "veri_test2.txt", "extended": "list_test_all2.txt", "hard": "list_test_hard2.txt"}
DEV_SPEAKERS, DEV_TRIALS, SEED = 60, 20_000, 0


def all_cuts(root: Path, table: Path) -> dict[str, Cut]:
    """Rows by name, SPEAKER/VIDEO/NUMBER; the table behind them is kept. Raises AudiosslError where there is none."""
    files = sorted(path for path in root.glob("id*/*/*") if path.suffix in SUFFIXES)
    if not files:
        raise AudiosslError(f"{root} has no id*/*/*.m4a or .wav; give the unpacked corpus.")
    rows = ({"path": path.relative_to(root), "speaker": path.parts[-3], "video": path.parts[-2]} for path in files)
    return {str(cut.id): cut for cut in cuts_of_table(rows, table, root)["all"]}


def of_dev(cuts: Mapping[str, Cut], speakers: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Speaker -> video -> recordings, of these speakers."""
    wanted = set(speakers)
    found: dict[str, dict[str, list[str]]] = {speaker: defaultdict(list) for speaker in wanted}
    for name in cuts:
        speaker, video, _ = name.split("/")
        if speaker in wanted:
            found[speaker][video].append(name)
    return found


def prepare_training(folder: Path, out: Path) -> dict[str, CutSet]:
    """train, dev and train_all, and the trials of dev."""
    root = next((folder / name for name in ROOTS if (folder / name).is_dir()), folder)
    cuts = all_cuts(root, out / "voxceleb2.csv")
    speakers = sorted({name.split("/")[0] for name in cuts})
    rng = random.Random(SEED)
    dev = set(rng.sample(speakers, min(DEV_SPEAKERS, max(2, len(speakers) // 4))))
    drawn = drawn_trials(of_dev(cuts, dev), DEV_TRIALS, rng)
    write_trials(out / "trials_dev.txt", drawn)
    return {
        "train_all": CutSet.from_cuts(cuts.values()),
        "train": CutSet.from_cuts(cut for name, cut in cuts.items() if name.split("/")[0] not in dev),
        "dev": rows_named(cuts, (name for _, *pair in drawn for name in pair), out / "trials_dev.txt", "run again"),
    }


def prepare_tests(folder: Path, out: Path) -> dict[str, CutSet]:
    """The recordings of each list that is there, and the list by their names. Raises AudiosslError where none is."""
    cuts = all_cuts(folder / "wav", out / "voxceleb1.csv")
    splits = {}
    for split, name in LISTS.items():
        path = next((place / name for place in (folder, folder / "meta") if (place / name).is_file()), None)
        if path is None:
            print(f"{folder} has no {name}, so there is no split {split}.")
            continue
        listed = [(int(trial.target), bare(trial.enrol), bare(trial.test)) for trial in read_trials(path)]
        write_trials(out / f"trials_{split}.txt", listed)
        names = (name for _, *pair in listed for name in pair)
        splits[split] = rows_named(cuts, names, path, "unpack all parts of VoxCeleb1 into one folder")
    if "test" not in splits:
        raise AudiosslError(f"{folder} has no {LISTS['test']}; put that file of VoxCeleb's site into it.")
    return splits


def bare(name: str) -> str:
    return name.removesuffix(".wav")


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked dev part of VoxCeleb2", "folder for the manifests and trials")
    parser.add_argument("--voxceleb1", type=Path, required=True, help="the unpacked VoxCeleb1, with its lists")
    arguments = parser.parse_args()
    splits = {**prepare_training(arguments.folder, arguments.out), **prepare_tests(arguments.voxceleb1, arguments.out)}
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
