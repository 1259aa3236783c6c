"""Tones one after the other, with their labels as supervisions, as a tier and as CTM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

RATE_HZ = 16000
TONES_HZ = {"low": 300.0, "mid": 1200.0, "high": 3000.0}


def tone_row(folder: Path, name: str, labels: list[str], each_s: float = 0.25, noise: float = 0.01) -> MonoCut:
    """A recording of tones one after the other, with a supervision for each and the same as a tier."""
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    size = round(each_s * RATE_HZ)
    time_s = np.arange(size) / RATE_HZ
    sound = np.concatenate([0.3 * np.sin(2 * np.pi * TONES_HZ[label] * time_s) for label in labels])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, sound + noise * rng.standard_normal(len(sound)), RATE_HZ)
    recording = Recording.from_file(path, recording_id=name)
    parts = [
        SupervisionSegment(f"{name}-{place}", name, place * each_s, each_s, speaker=name[:1], custom={"label": label})
        for place, label in enumerate(labels)
    ]
    tier = {"tones": [AlignmentItem(part.custom["label"], part.start, part.duration) for part in parts]}
    whole = SupervisionSegment(name, name, 0.0, recording.duration, speaker=name[:1], alignment=tier)
    return MonoCut(name, 0.0, recording.duration, 0, [whole, *parts], recording=recording)


def ctm(path: Path, *rows: MonoCut) -> Path:
    lines = [
        f"{row.recording.id} 1 {part.start:g} {part.duration:g} {part.custom['label']}"
        for row in rows
        for part in row.supervisions[1:]
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def spoken_rows(folder: Path, num_speakers: int = 4) -> Path:
    """A manifest of recordings of tones, two of each speaker, with supervisions for each tone and columns.

    The first speaker alone is of the site 'north'.
    """
    labels = (["low", "mid", "high"], ["high", "low", "mid"])
    rows = []
    for number in range(num_speakers):
        for place, own in enumerate(labels):
            row = tone_row(folder, f"{'abcdefgh'[number]}{place}", own, noise=0.02 * (number + 1))
            row.supervisions = row.supervisions[1:]
            for said in row.supervisions:
                said.custom |= {"age": str(5 + number), "site": "north" if number == 0 else "south"}
            rows.append(row)
    path = folder / "rows.jsonl.gz"
    CutSet.from_cuts(rows).to_file(path)
    return path
