"""Words that are melodies, and documents in which two of them are played, faster or slower and in noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv

RATE_HZ = 16000
MELODIES = {"down": (2400, 1200, 600), "hill": (600, 2400, 600), "up": (600, 1200, 2400), "vale": (2400, 600, 2400)}
PAIRS = (("down", "up"), ("hill", "vale"), ("up", "hill"), ("vale", "down"))


def melody(word: str, seed: int) -> np.ndarray:
    """(S,) three tones of about 0.1 s each."""
    rng = np.random.default_rng(seed)
    tones = []
    for hz in MELODIES[word]:
        times = np.arange(round(rng.uniform(0.08, 0.12) * RATE_HZ)) / RATE_HZ
        tones.append(0.2 * np.sin(2 * np.pi * hz * rng.uniform(0.97, 1.03) * times))
    sound = np.concatenate(tones)
    return np.asarray(sound + 0.01 * rng.standard_normal(len(sound)))


def write_search(folder: Path, more: str = "") -> Path:
    """dev and test with four queries and four documents each, train with documents. Returns the manifests' folder.

    more: further lines of the table, whose columns are path, speaker, split, query and terms.
    """
    rows, seed = ["path,speaker,split,query,terms"], 0
    for split in ("train", "dev", "test"):
        for word in MELODIES if split != "train" else ():
            seed += 1
            rows.append(_row(folder, f"{split}_{word}", melody(word, seed), f"s{seed % 2}", split, word, ""))
        for pair in PAIRS:
            seed += 2
            noise = 0.01 * np.random.default_rng(seed).standard_normal(RATE_HZ // 10)
            sound = np.concatenate([noise, melody(pair[0], seed), noise, melody(pair[1], seed + 1000)])
            rows.append(_row(folder, f"{split}_{'_'.join(pair)}", sound, "s9", split, "", "|".join(pair)))
    table = folder / "table.csv"
    table.write_text("\n".join([*rows, *more.splitlines()]) + "\n", encoding="utf-8")
    write_manifests(cuts_from_csv(table), folder / "manifests")
    return folder / "manifests"


def _row(folder: Path, name: str, sound: np.ndarray, *columns: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", sound, RATE_HZ)
    return ",".join([f"{name}.wav", *columns])
