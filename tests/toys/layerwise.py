"""Recordings of a few speakers with known segments, and an encoder of three layers on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv

RATE = 16000
PHONES = (("a", 400), ("b", 1500), ("c", 3200))
PIECE_S = 0.1


def write_speakers(folder: Path, num_speakers: int = 4, num_recordings: int = 4, num_pieces: int = 8) -> Path:
    """Recordings of tones, each a phone of 0.1 s, louder for each speaker. phones.ctm says which. Returns the manifest.

    Columns: speaker, label (a half of the speakers each), age (a number).
    """
    lines, ctm = ["path,speaker,label,age,split"], []
    for number in range(num_speakers * num_recordings):
        rng = np.random.default_rng(number)
        speaker, times = number % num_speakers, np.arange(round(PIECE_S * RATE)) / RATE
        pieces = []
        for place, phone in enumerate(rng.integers(0, len(PHONES), num_pieces)):
            label, hz = PHONES[phone]
            pieces.append(0.1 * (1 + speaker) * np.sin(2 * np.pi * hz * (1 + 0.03 * speaker) * times))
            ctm.append(f"r{number} 1 {place * PIECE_S:.3f} {PIECE_S} {label}")
        sound = np.concatenate(pieces)
        soundfile.write(folder / f"r{number}.wav", sound + 0.003 * rng.standard_normal(len(sound)), RATE)
        lines.append(f"r{number}.wav,s{speaker},{'xy'[speaker % 2]},{20 + 7 * speaker},train")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    (folder / "phones.ctm").write_text("\n".join(ctm) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    return folder / "train.jsonl.gz"
