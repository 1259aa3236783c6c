"""Sound files and manifest rows that the tests make for themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

torch.set_num_threads(1)


def tone(num_samples: int, rate: int = 16000, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(num_samples) / rate)).astype(np.float32)


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples, or a tone of a given number of samples, below the test's folder."""

    def write(name: str, samples: np.ndarray | int = 8000, rate: int = 16000, subtype: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(samples, rate) if isinstance(samples, int) else samples, rate, subtype=subtype)
        return path

    return write


@pytest.fixture
def row() -> Callable[..., MonoCut]:
    """A manifest row of a file that need not exist."""

    def make(
        name: str, num_samples: int, rate: int = 16000, path: str | Path = "", start: int = 0, kept: int | None = None
    ) -> MonoCut:
        recording = Recording(name, [AudioSource("file", [0], str(path))], rate, num_samples, num_samples / rate)
        duration = (num_samples - start if kept is None else kept) / rate
        return MonoCut(id=name, start=start / rate, duration=duration, channel=0, recording=recording, supervisions=[])

    return make


@pytest.fixture
def rows_of(row: Callable[..., MonoCut]) -> Callable[..., list[MonoCut]]:
    """Rows of several recordings, two recordings a speaker, with the labels a and b in turn."""

    def make(num_recordings: int = 12, per_recording: int = 6) -> list[MonoCut]:
        made = []
        for recording in range(num_recordings):
            for number in range(per_recording):
                cut = row(f"r{recording}-{number}", 8000, path=f"r{recording}.wav", start=number * 100, kept=100)
                label, speaker = "ab"[(recording + number) % 2], f"s{recording // 2}"
                said = SupervisionSegment(cut.id, cut.id, 0, 0.01, speaker=speaker, custom={"label": label})
                cut.supervisions = [said]
                made.append(cut)
        return made

    return make
