"""A conversation of three toy voices."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from toys.voices import RATE, voice

from audiossl.data.turns import Turn


class Meeting(NamedTuple):
    path: Path
    turns: list[Turn]


@pytest.fixture(scope="session")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Meeting:
    """40 s with pauses of 1 s, except between the last two turns, which touch."""
    rng = np.random.default_rng(0)
    sound, turns, at_s = [], [], 1.0
    for place, (speaker, lasts_s) in enumerate(
        [(10, 4), (12, 5), (13, 4), (10, 5), (12, 4), (13, 5), (10, 3), (12, 4)]
    ):
        pause_s = 0.0 if place == 7 else 1.0
        sound += [np.zeros(int(pause_s * RATE)), voice(speaker, 7 + place, lasts_s)]
        at_s += pause_s if place else 0.0
        turns.append(Turn(at_s, at_s + lasts_s, f"s{speaker}"))
        at_s += lasts_s
    samples = np.concatenate(sound)
    path = tmp_path_factory.mktemp("meeting") / "meeting.wav"
    soundfile.write(path, samples + 1e-3 * rng.standard_normal(len(samples)), RATE)
    return Meeting(path, turns)
