"""Manifests of Libri2Mix (or Libri3Mix) for diarisation, from the folders that LibriMix's scripts make.

    python recipes/librimix/prepare.py Libri2Mix data/librimix

FOLDER is Libri2Mix, or any folder above one `metadata` folder with `mixture_train-100_mix_both.csv` and so on (columns
mixture_ID, mixture_path, source_1_path, ..., length), in which wav16k/max is preferred. Who speaks when is taken from
--rttm FOLDER with train.rttm, dev.rttm and test.rttm (SUPERB made its own by a forced alignment of LibriSpeech), and
without it from the energy of the sources, s1 and s2, which are clean.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from lhotse import CutSet

from audiossl.core.errors import ManifestError
from audiossl.core.terminal import progress
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.reading import audio_facts, read_audio
from audiossl.data.sources import cuts_from_files
from audiossl.data.speech_spans import speech_spans
from audiossl.data.turns import Turn, check_turns, read_rttm, turns_for, with_turns

NAME = re.compile(r"mixture_(.+)_(mix_both|mix_clean|mix_single)\.csv")
PARTS = {"train-100": "train", "train-360": "train", "dev": "dev", "test": "test"}


def tables(folder: Path, kind: str, train: str) -> dict[str, Path]:
    """The tables of the splits. Raises ManifestError where there is none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("mixture_*.csv"), key=lambda path: ("wav16k/max" not in path.as_posix(), path)):
        match = NAME.fullmatch(path.name)
        if match is None or match[2] != kind or (PARTS.get(match[1]) == "train" and match[1] != train):
            continue
        found.setdefault(PARTS.get(match[1], match[1]), path)
    if not found:
        raise ManifestError(
            f"{folder} has no metadata/mixture_*_{kind}.csv; give the folder that LibriMix's scripts made, or name "
            f"another kind with --kind."
        )
    return found


def located(stated: str, folder: Path, where: str) -> Path:
    """A file of a table: where it says, or as far below the folder as its own name reaches."""
    parts = Path(stated).parts
    for place in (Path(stated), *(folder.joinpath(*parts[-depth:]) for depth in range(min(6, len(parts)), 0, -1))):
        if place.is_file():
            return place
    raise ManifestError(f"{where}: there is no {stated}, nor its end below {folder}; give the folder of the mixtures.")


def speakers_of(name: str, count: int) -> list[str]:
    """The speakers of a mixture, which is named after their utterances: 5400-34479-0005_4973-24515-0007."""
    found = [part.split("-")[0] for part in name.split("_")]
    return found if len(found) == count == len(set(found)) else [f"source_{1 + k}" for k in range(count)]


def turns_by_energy(row: dict[str, str], folder: Path, where: str) -> Iterator[Turn]:
    columns = sorted(name for name in row if re.fullmatch(r"source_\d+_path", name))
    for speaker, column in zip(speakers_of(row["mixture_ID"], len(columns)), columns, strict=True):
        path = located(row[column], folder, where)
        rate = audio_facts(path).sample_rate_hz
        for start, stop in speech_spans(read_audio(path, sample_rate_hz=rate), rate):
            yield Turn(start / rate, stop / rate, speaker)


def cuts_of(table: Path, folder: Path, rttm: Path | None) -> CutSet:
    """The rows of a table. Raises ManifestError, AudioError, LabelError."""
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"mixture_ID", "mixture_path", "source_1_path"} <= rows[0].keys():
        raise ManifestError(f"{table} has no row with mixture_ID, mixture_path and source_1_path; make it again.")
    paths = [located(row["mixture_path"], folder, f"{table} line {2 + n}") for n, row in enumerate(rows)]
    stated = None if rttm is None else read_rttm(rttm)
    made = []
    cuts = cuts_from_files(paths, [row["mixture_ID"] for row in rows])
    for cut, row in progress(list(zip(cuts, rows, strict=True)), f"Reading {table.name}"):
        if stated is None:
            turns = list(turns_by_energy(row, folder, str(table)))
        else:
            turns = turns_for(stated, cut.id, rttm or "")
        made.append(with_turns(cut, turns))
        check_turns(made[-1])
    return CutSet.from_cuts(made)


def main() -> None:
    parser = folder_parser(__doc__, "Libri2Mix, as LibriMix's scripts make it")
    parser.add_argument("--kind", default="mix_both", help="mix_both (with noise) or mix_clean")
    parser.add_argument("--train", default="train-100", help="train-100 or train-360")
    parser.add_argument("--rttm", type=Path, help="folder with train.rttm, dev.rttm and test.rttm")
    given = parser.parse_args()
    splits = {}
    for split, table in tables(given.folder, given.kind, given.train).items():
        splits[split] = cuts_of(table, given.folder, given.rttm and given.rttm / f"{split}.rttm")
    write_manifests(splits, given.out)
    print(f"{given.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
