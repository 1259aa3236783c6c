"""Conversations of two made-up voices: noise in two bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from lhotse import CutSet

from audiossl.data.sources import cuts_from_files
from audiossl.data.turns import Turn, with_turns

RATE_HZ = 16000


def voice(number: int, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    """Tones of a voice, which has frequencies of its own."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    rng = np.random.default_rng(seed)
    tones = [np.sin(2 * np.pi * hz * times + rng.uniform(0, 6)) for hz in ((300, 700), (1900, 3100))[number]]
    return 0.2 * np.sum(tones, axis=0)


def turns_of_toy(seed: int, lasts_s: float) -> list[Turn]:
    """The first voice in the first part of the time, the second in the last, and both between."""
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(0.5, 0.7) * lasts_s, rng.uniform(0.3, 0.45) * lasts_s
    names = ("low", "high") if seed % 2 else ("high", "low")
    spans = ((0.0, first), (second, lasts_s))
    return [Turn(*span, name) for span, name in zip(spans, names, strict=True)]


def write_conversations(folder: Path, count: int, seed: int = 0, lasts_s: float = 2.0) -> CutSet:
    """Rows of `count` conversations with their sound below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, turns = [], []
    for number in range(count):
        turns.append(turns_of_toy(seed + number, lasts_s))
        sound = 0.002 * np.random.default_rng(seed + number).standard_normal(int(lasts_s * RATE_HZ))
        for start_s, end_s, name in turns[-1]:
            first, part = int(start_s * RATE_HZ), voice(int(name == "high"), end_s - start_s, seed + number)
            sound[first : first + len(part)] += part[: len(sound) - first]
        paths.append(folder / f"talk{seed + number}.wav")
        soundfile.write(paths[-1], sound, RATE_HZ)
    cuts = cuts_from_files(paths, [path.stem for path in paths])
    return CutSet.from_cuts(with_turns(cut, mine) for cut, mine in zip(cuts, turns, strict=True))
