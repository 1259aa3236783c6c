"""Spoken digits to be found in strings of digits by other speakers: what the task query_by_example reads.

    python recipes/fsdd/queries.py data/fsdd data/fsdd/queries

Queries are single recordings. Documents are three recordings of one speaker, one after the other. No speaker of a
split's queries is in its documents, and no speaker of dev is in test. train.jsonl.gz has the documents of dev.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.reading import path_of

SPEAKERS = {"dev": (("nicolas",), ("george",)), "test": (("theo", "yweweler"), ("jackson", "lucas"))}
TAKES, DOCUMENTS, DIGITS = 5, 60, 3  # queries of a digit and speaker, documents of a speaker, digits of a document
PAUSE_S, PAUSE_LEVEL = 0.1, 1e-4  # between digits, of faint noise


def by_speaker(rows: Iterable[Cut]) -> dict[str, dict[str, list[Cut]]]:
    """The recordings of each digit of each speaker, by name, so that what is drawn does not depend on their order."""
    found: dict[str, dict[str, list[Cut]]] = defaultdict(lambda: defaultdict(list))
    for cut in sorted(rows, key=lambda cut: Path(str(cut.id)).name):
        said = cut.supervisions[0]
        found[str(said.speaker)][said.custom["label"]].append(cut)
    return found


def write_document(parts: Sequence[Cut], path: Path, seed: int) -> None:
    """One recording after the other, with pauses."""
    rate, rng = parts[0].sampling_rate, np.random.default_rng(seed)
    pause = PAUSE_LEVEL * rng.standard_normal(round(PAUSE_S * rate))
    sounds = [sound for cut in parts for sound in (cut.load_audio()[0], pause)]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(sounds[:-1]).clip(-1, 1), rate, subtype="PCM_16")


def rows_of(split: str, recordings: dict[str, dict[str, list[Cut]]], out: Path) -> list[dict[str, object]]:
    """What the table has of a split. Its documents are written."""
    askers, tellers = SPEAKERS[split]
    rows: list[dict[str, object]] = []
    for speaker in askers:
        for digit, cuts in sorted(recordings[speaker].items()):
            for cut in random.Random(f"{split} {speaker} {digit}").sample(cuts, min(TAKES, len(cuts))):
                rows.append({"path": path_of(cut), "speaker": speaker, "split": split, "query": digit, "terms": ""})
    for speaker in tellers:
        rng = random.Random(f"{split} {speaker}")
        for number in range(DOCUMENTS):
            parts = [
                rng.choice(recordings[speaker][digit]) for digit in rng.sample(sorted(recordings[speaker]), DIGITS)
            ]
            path = (out / "documents" / f"{split}_{speaker}_{number:02}.flac").resolve()
            write_document(parts, path, number)
            terms = "|".join(sorted(cut.supervisions[0].custom["label"] for cut in parts))
            rows.append({"path": path, "speaker": speaker, "split": split, "query": "", "terms": terms})
    return rows


def main() -> None:
    arguments = folder_parser(__doc__, "the manifests of the recipe").parse_args()
    splits = [read_manifest(arguments.folder / f"{split}.jsonl.gz") for split in ("train", "dev", "test")]
    recordings = by_speaker(cut for rows in splits for cut in rows)
    if missing := {name for sides in SPEAKERS.values() for side in sides for name in side} - recordings.keys():
        raise AudiosslError(f"{arguments.folder} has no recording of {min(missing)}; give manifests of all speakers.")
    table = [row for split in SPEAKERS for row in rows_of(split, recordings, arguments.out)]
    table += [{**row, "split": "train"} for row in table if row["split"] == "dev" and not row["query"]]
    made = cuts_of_table(table, arguments.out / "recordings.csv", arguments.out)
    write_manifests(made, arguments.out)
    print(f"{arguments.out}: {described(made)}")


if __name__ == "__main__":
    run(main)
