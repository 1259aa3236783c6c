"""Manifests and trials of CN-Celeb: speakers in eleven genres, from interviews to singing.

    python recipes/cn_celeb/prepare.py FOLDER data/cn_celeb [--more CN-CELEB2]

FOLDER is CN-Celeb1 as published: data/SPEAKER/GENRE-SESSION-NUMBER.flac (or .wav), dev/dev.lst with the speakers for
training, eval/enroll, eval/test and eval/lists/trials.lst. The lists name .wav files also where the files are .flac.
CN-CELEB2 has data/SPEAKER/*.flac, and all its speakers are for training.

test has eval/, with the published trials. dev has 40 of the training speakers, drawn by seed, and 20000 trials that are
drawn too, half of one speaker in two genres, half of two speakers. train has the others, and train_all all of them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, rows_named, run
from audiossl.data.tables import numbered_lines, read_text
from audiossl.downstreams.speaker_verification.drawing import DrawnTrial, drawn_trials, write_trials

SUFFIXES = (".flac", ".wav")
DEV_SPEAKERS, DEV_TRIALS, SEED = 40, 20_000, 0
KINDS = {"1": 1, "0": 0, "target": 1, "nontarget": 0}


def sounds(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES)


def training_cuts(folder: Path, speakers: Iterable[str], table: Path) -> dict[str, Cut]:
    """Rows by id, data/SPEAKER/GENRE-SESSION-NUMBER. Raises AudiosslError for a speaker without a folder."""
    rows = []
    for speaker in speakers:
        if not (folder / "data" / speaker).is_dir():
            raise AudiosslError(f"{folder}/data has no folder {speaker}; give the whole corpus, unpacked.")
        for path in sounds(folder / "data" / speaker):
            genre = path.stem.split("-")[0]
            rows.append({"path": path.relative_to(folder), "speaker": speaker, "genre": genre})
    return {str(cut.id): cut for cut in cuts_of_table(rows, table, folder)["all"]}


def dev_speakers(folder: Path) -> list[str]:
    path = folder / "dev" / "dev.lst"
    return [line.strip() for _, line in numbered_lines(path, read_text(path, "list of speakers"))]


def genres_of(cuts: Mapping[str, Cut], speakers: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Speaker -> genre -> recordings, of these speakers."""
    found: dict[str, dict[str, list[str]]] = {speaker: defaultdict(list) for speaker in sorted(speakers)}
    for name, cut in cuts.items():
        speaker = cut.supervisions[0].speaker
        if speaker in found:
            found[speaker][Path(name).name.split("-")[0]].append(name)
    return found


def prepare_training(folder: Path, more: Path | None, out: Path) -> dict[str, CutSet]:
    """train, dev and train_all, and the trials of dev."""
    own = training_cuts(folder, dev_speakers(folder), out / "cn_celeb1.csv")
    others: dict[str, Cut] = {}
    if more is not None:
        names = sorted(path.name for path in (more / "data").glob("id*") if path.is_dir())
        others = training_cuts(more, names, out / "cn_celeb2.csv")
    speakers = sorted({cut.supervisions[0].speaker for cut in own.values()})
    rng = random.Random(SEED)
    dev = set(rng.sample(speakers, min(DEV_SPEAKERS, max(2, len(speakers) // 4))))
    drawn = drawn_trials(genres_of(own, dev), DEV_TRIALS, rng)
    write_trials(out / "trials_dev.txt", drawn)
    train = [cut for cut in own.values() if cut.supervisions[0].speaker not in dev]
    return {
        "train_all": CutSet.from_cuts([*own.values(), *others.values()]),
        "train": CutSet.from_cuts([*train, *others.values()]),
        "dev": rows_named(own, (name for _, *pair in drawn for name in pair), out / "trials_dev.txt", "run again"),
    }


def read_list(path: Path) -> list[DrawnTrial]:
    """Lines like `id00800-enroll test/id00800-singing-01-002.wav 1`, by ids. Raises ManifestError for others."""
    trials = []
    for where, line in numbered_lines(path, read_text(path, "trial list")):
        words = line.split()
        if len(words) != 3 or words[2] not in KINDS:
            raise ManifestError(f"{where} is not `model recording 1|0`: {line[:80]!r}; get the file again.")
        enrolled, tested = f"eval/enroll/{words[0]}", f"eval/{words[1].removesuffix('.wav')}"
        trials.append((KINDS[words[2]], enrolled, tested))
    return trials


def prepare_test(folder: Path, out: Path) -> CutSet:
    """What the published trials compare, and these with the ids of its rows."""
    files = [path for part in ("enroll", "test") for path in sounds(folder / "eval" / part)]
    rows = ({"path": path.relative_to(folder), "speaker": path.stem.split("-")[0]} for path in files)
    cuts = {str(cut.id): cut for cut in cuts_of_table(rows, out / "eval.csv", folder)["all"]}
    source = folder / "eval" / "lists" / "trials.lst"
    trials = read_list(source)
    write_trials(out / "trials_test.txt", trials)
    return rows_named(cuts, (name for _, *pair in trials for name in pair), source, "unpack the whole of eval")


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked CN-Celeb1", "folder for the manifests and trials")
    parser.add_argument("--more", type=Path, help="the unpacked CN-Celeb2, for training")
    arguments = parser.parse_args()
    for part in ("data", "eval/enroll", "eval/test"):
        if not (arguments.folder / part).is_dir():
            raise AudiosslError(f"{arguments.folder} has no {part}; give the unpacked CN-Celeb1.")
    splits = prepare_training(arguments.folder, arguments.more, arguments.out)
    splits["test"] = prepare_test(arguments.folder, arguments.out)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
