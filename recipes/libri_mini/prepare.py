"""Manifests for identifying ten speakers: 3 s segments of ten utterances each, split by utterance.

    python recipes/libri_mini/prepare.py FOLDER data/libri_mini

FOLDER holds the FLAC files at any depth, as LibriSpeech's test-other has them or flat. Of each chapter the utterances
0000 to 0009 are used: 0 to 4 train, 5 and 6 dev, 7 to 9 test. A segment never crosses an utterance, so no utterance is
in two splits; what is left at the end of an utterance is a segment too if it lasts at least half as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import soundfile

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

CHAPTERS = (
    *("1688-142285", "1998-15444", "2033-164914", "2414-128291", "2609-156975"),
    *("3005-163389", "3080-5032", "3331-159605", "367-130732", "533-1066"),
)
SPLITS = ("train",) * 5 + ("dev",) * 2 + ("test",) * 3
SEGMENT_S = 3.0


def utterances(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """(file, speaker, split) of the hundred utterances. Raises AudiosslError where one is missing."""
    files = {path.stem: path for path in folder.rglob("*.flac")}
    for chapter in CHAPTERS:
        for number, split in enumerate(SPLITS):
            name = f"{chapter}-{number:04d}"
            if name not in files:
                raise AudiosslError(f"{folder} has no {name}.flac; give the unpacked test-other of LibriSpeech.")
            yield files[name], chapter.split("-")[0], split


def segments(duration_s: float) -> Iterator[tuple[float, float]]:
    """(start, end) in seconds, none shorter than SEGMENT_S / 2."""
    start = 0.0
    while duration_s - start >= SEGMENT_S / 2:
        yield start, min(start + SEGMENT_S, duration_s)
        start += SEGMENT_S


def rows_of(folder: Path) -> Iterator[dict[str, object]]:
    for path, speaker, split in utterances(folder):
        info = soundfile.info(path)
        for start, end in segments(info.frames / info.samplerate):
            row = {"path": path.relative_to(folder), "start": start, "end": end}
            yield {**row, "speaker": speaker, "language": "en", "split": split}


def main() -> None:
    arguments = folder_parser(__doc__, "the unpacked test-other, or a folder with these files").parse_args()
    splits = cuts_of_table(rows_of(arguments.folder), arguments.out / "segments.csv", arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
