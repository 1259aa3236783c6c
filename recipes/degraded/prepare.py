"""Opinion scores whose order is known: recordings with noise, coded, or clipped, more and more, and made-up listeners.

    python recipes/degraded/prepare.py FOLDER data/degraded

FOLDER is libri_mini: manifest.csv with path, speaker and split. Of each recording three seconds are taken from half a
second on. Each of three degradations has four strengths, and 0 is none:

    noise  white noise at 30, 20, 10 and 0 dB below the speech
    opus   Opus at about 59, 26, 15 and 8 kbit/s
    clip   samples beyond 0.5, 0.25, 0.1 and 0.03 of the peak are cut off

What is made has the power of the recording, so that loudness gives nothing away. The quality is 5 minus the strength.
Twelve listeners, each as strict as drawn once, give whole scores from 1 to 5 with an error of their own: four of them
rate a row. `mos` is the mean of their ratings. Everything follows from the seed and the row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from audiossl.core.errors import ManifestError
from audiossl.core.files import atomic_write
from audiossl.data.augmentations.signal import coded, mixed, power, scaled
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

RATE, SECONDS, START_S, SEED = 16000, 3.0, 0.5, 0
STRENGTHS = {
    "noise": (30.0, 20.0, 10.0, 0.0),  # dB
    "opus": (0.2, 0.08, 0.03, 0.0),  # quality
    "clip": (0.5, 0.25, 0.1, 0.03),  # of the peak
}
LISTENERS, PER_ROW = 12, 4
BIAS, ERROR = 0.4, 0.5  # standard deviations, in points
TEST_ROWS = 5  # recordings of each test speaker, in all thirteen systems
Wave = npt.NDArray[np.float32]


class Made(NamedTuple):
    """One degraded recording."""

    kind: str
    strength: int

    @property
    def system(self) -> str:
        return f"{self.kind}_{self.strength}" if self.strength else "clean"


def degraded(sound: Wave, made: Made, seed: int) -> Wave:
    """Sound (S,) with the degradation, and with its power.

    made: which one.
    seed: of the noise.
    """
    if not made.strength:
        return sound
    how = STRENGTHS[made.kind][made.strength - 1]
    if made.kind == "noise":
        changed = mixed(sound, np.random.default_rng(seed).standard_normal(len(sound)).astype(np.float32), how)
    elif made.kind == "opus":
        changed = coded(sound, RATE, "opus", how)
    else:
        edge = how * np.abs(sound).max()
        changed = np.clip(sound, -edge, edge)
    return scaled(changed, power(sound))


def made_of(split: str, number: int) -> Iterator[Made]:
    """What is made of a recording: all thirteen for test, else none and one strength of each kind."""
    yield Made("clean", 0)
    draw = np.random.default_rng([SEED, number])
    for kind, strengths in STRENGTHS.items():
        if split == "test":
            yield from (Made(kind, strength) for strength in range(1, len(strengths) + 1))
        else:
            yield Made(kind, int(draw.integers(1, len(strengths) + 1)))


def ratings(quality: float, number: int) -> dict[str, int]:
    """Scores by listener."""
    strict = BIAS * np.random.default_rng(SEED).standard_normal(LISTENERS)
    draw = np.random.default_rng([SEED, number, 1])
    chosen = draw.choice(LISTENERS, PER_ROW, replace=False)
    scores = quality + strict[chosen] + ERROR * draw.standard_normal(PER_ROW)
    return {f"l{who:02}": int(score) for who, score in zip(chosen, scores.round().clip(1, 5), strict=True)}


def rows_of(folder: Path, out: Path) -> Iterator[dict[str, object]]:
    """Write the sound, and give a row for each."""
    made_rows = 0
    for number, row in enumerate(_recordings(folder)):
        with soundfile.SoundFile(folder / row["path"]) as file:
            file.seek(int(START_S * RATE))
            sound = file.read(int(SECONDS * RATE), dtype="float32")
        for made in made_of(row["split"], number):
            made_rows += 1
            path = out / "sound" / f"{Path(row['path']).stem}_{made.system}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                soundfile.write(temporary, degraded(sound, made, made_rows), RATE, "FLOAT", format="WAV")
            given = ratings(5.0 - made.strength, made_rows)
            yield {
                "path": path.relative_to(out),
                "speaker": row["speaker"],
                "split": row["split"],
                "mos": sum(given.values()) / len(given),
                "ratings": "|".join(f"{who}={score}" for who, score in given.items()),
                "system": made.system,
                "kind": made.kind,
                "strength": made.strength,
            }


def _recordings(folder: Path) -> Iterator[dict[str, str]]:
    """Those that are long enough, of test speakers the first five. Raises ManifestError."""
    table = folder / "manifest.csv"
    if not table.is_file():
        raise ManifestError(f"{table} is not there; give the folder of libri_mini.")
    counts: dict[str, int] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            counts[row["speaker"]] = counts.get(row["speaker"], 0) + (row["split"] == "test")
            if counts[row["speaker"]] <= TEST_ROWS and float(row["duration"]) >= START_S + SECONDS:
                yield row


def prepare(folder: Path, out: Path) -> dict[str, CutSet]:
    """Write out/sound, out/degraded.csv and the manifests, and return the rows."""
    splits = cuts_of_table(rows_of(folder, out), out / "degraded.csv", out)
    write_manifests(splits, out)
    return splits


def main() -> None:
    arguments = folder_parser(__doc__, "libri_mini, with manifest.csv").parse_args()
    print(f"{arguments.out}: {described(prepare(arguments.folder, arguments.out))}")


if __name__ == "__main__":
    run(main)
