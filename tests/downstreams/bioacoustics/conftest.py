"""Recordings with calls at known times, and a run that was trained on windows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.data.annotated import Windows, cuts_of_windows
from audiossl.data.annotations import Annotation
from audiossl.data.manifests import write_manifests
from audiossl.data.splits import split_cuts
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train


@pytest.fixture
def field(tmp_path: Path) -> tuple[Path, list[Annotation]]:
    """Six recordings of 6 s: tones of 1 kHz (`lo`) and 3 kHz (`hi`) at known times, in noise, at 32 kHz."""
    rng = np.random.default_rng(0)
    calls = []
    for number in range(6):
        samples = 0.01 * rng.standard_normal(6 * 32000)
        path = tmp_path / "field" / f"day{number}.wav"
        path.parent.mkdir(exist_ok=True)
        for label, hz, start in (("lo", 1000, 0.5 + 0.25 * number), ("hi", 3000, 3.0 + 0.25 * number)):
            place = slice(round(start * 32000), round((start + 1) * 32000))
            samples[place] += 0.2 * np.sin(2 * np.pi * hz * np.arange(32000) / 32000)
            calls.append(Annotation(start, start + 1.0, label, str(path)))
        soundfile.write(path, samples, 32000, subtype="PCM_16")
    return tmp_path / "field", calls


@pytest.fixture
def run(field: tuple[Path, list[Annotation]], tmp_path: Path) -> Path:
    """A trained run on windows of the recordings, split by recording."""
    folder, calls = field
    windows = list(cuts_of_windows(calls, Windows(0.5, 0.25), root=folder)["all"])
    splits = split_cuts(windows, dict.fromkeys(("train", "dev", "test"), 1 / 3))
    write_manifests(splits, tmp_path / "manifests")
    overrides = [
        "downstream=bioacoustic_windows",
        "setting=default",
        "upstream=log_mel",
        f"data.dir={tmp_path}/manifests",
    ]
    overrides += ["trainer.steps=40", "trainer.eval_every=20", "trainer.lr=0.03", "features=off"]
    return train(read_experiment(None, overrides), tmp_path / "run")
