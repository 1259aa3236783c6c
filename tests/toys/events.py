"""Recordings with tones at known times, rows of them, and detectors, for the tests of events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lhotse import CutSet

from audiossl import load_upstream
from audiossl.core.config import structured
from audiossl.data.annotated import WHOLE, Windows, cuts_of_windows
from audiossl.data.annotations import Annotation
from audiossl.downstreams.bioacoustic_events.config import BioacousticEventsConfig
from audiossl.downstreams.bioacoustic_events.task import BioacousticEvents
from audiossl.training.interface import build_interface

RATE_HZ = 16000
TONES = {"hi": 3000.0, "lo": 1000.0}


def write_field(
    folder: Path, count: int, seed: int = 0, lasts_s: float = 4.0, rate_hz: int = RATE_HZ
) -> list[Annotation]:
    """Recordings below `folder` with two tones each, of which some overlap, and where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(seed, seed + count):
        rng = np.random.default_rng(number)
        wave = 0.01 * rng.standard_normal(round(lasts_s * rate_hz))
        path = folder / f"day{number}.wav"
        for label, hz in TONES.items():
            start_s = rng.uniform(0.2, lasts_s - 1.5)
            end_s = start_s + rng.uniform(0.4, 1.0)
            place = np.arange(round(start_s * rate_hz), round(end_s * rate_hz))
            wave[place] += 0.2 * np.sin(2 * np.pi * hz * place / rate_hz)
            found.append(Annotation(round(start_s, 4), round(end_s, 4), label, str(path), where=path.name))
        soundfile.write(path, wave, rate_hz, subtype="PCM_16")
    return found


def rows_of(calls: Sequence[Annotation], folder: Path, windows: Windows = WHOLE) -> CutSet:
    return cuts_of_windows(calls, windows, root=folder)["all"]


def detector(**options: Any) -> BioacousticEvents:
    """With random weights."""
    upstream = load_upstream("log_mel")
    torch.manual_seed(0)
    config = structured(BioacousticEventsConfig, {"labels": ["hi", "lo"], "hidden": 8, "dropout": 0.0, **options})
    return BioacousticEvents(upstream, build_interface("weighted_sum", upstream.widths, {}), config).eval()
