"""An archive of tones: recordings of one pitch each, and its index by a small random encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiossl.analysis.archive.config import IndexOptions
from audiossl.analysis.archive.index import ArchiveIndex, build_index
from audiossl.features.config import CacheConfig

RATE = 16000
PITCHES = (500, 1500, 3500)


def write_tone(path: Path, hz: float, seconds: float, seed: int = 0, rate: int = RATE) -> Path:
    """A tone in a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    noise = 0.005 * np.random.default_rng(seed).standard_normal(len(times))
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * hz * times) + noise, rate)
    return path


def write_archive(folder: Path, each: int = 3) -> Path:
    """`each` recordings of 1.2 s of each pitch."""
    for hz in PITCHES:
        for number in range(each):
            write_tone(folder / f"{hz}_{number}.wav", hz + number, 1.2, seed=hz + number)
    return folder


def indexed(folder: Path, out: Path, **options: object) -> ArchiveIndex:
    """The index of a folder in windows of half a second."""
    asked = IndexOptions(**{"window_s": 0.5, "layer": "0", **options})  # type: ignore[arg-type]
    how = CacheConfig(dir=str(out.parent / "cache"))
    return build_index("tera_mini", [str(folder)], out, asked, {"weights": "random"}, how)
