"""Degraded recordings: strengths that grow, equal power, ratings, and the order that is asked for."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toys.recipes import RECIPES

from audiossl.core.errors import ManifestError
from audiossl.data.augmentations.signal import power
from audiossl.data.fields import read_field
from audiossl.downstreams.mos_prediction.ratings import ratings_of


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / "degraded" / "prepare.py"))


def write_corpus(folder: Path) -> None:
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "duration", "speaker", "split"])
        for number, split in enumerate(["train", "train", "dev", "test"]):
            sound = 0.1 * np.random.default_rng(number).standard_normal(16000 * 4)
            soundfile.write(folder / f"{number}.flac", np.convolve(sound, np.ones(20) / 5, "same").clip(-1, 1), 16000)
            table.writerow([f"{number}.flac", 4.0, f"ls{number}", split])
        table.writerow(["short.flac", 1.0, "ls9", "train"])


def test_what_is_written(script: dict[str, Any], tmp_path: Path) -> None:
    write_corpus(tmp_path / "libri")
    found = script["prepare"](tmp_path / "libri", tmp_path / "out")
    assert {split: len(cuts) for split, cuts in found.items()} == {"train": 8, "dev": 4, "test": 13}
    systems = {read_field(cut, "system") for cut in found["test"]}
    assert systems == {"clean", *(f"{kind}_{n}" for kind in ("noise", "opus", "clip") for n in range(1, 5))}
    for cut in found["test"]:
        ratings = ratings_of(cut, "ratings")
        assert len(ratings) == 4
        assert float(read_field(cut, "mos") or 0) == np.mean([rating.score for rating in ratings])
        assert abs(float(read_field(cut, "mos") or 0) - (5 - int(read_field(cut, "strength") or 0))) < 1.6
    again = script["prepare"](tmp_path / "libri", tmp_path / "out")
    assert [cut.id for cut in again["test"]] == [cut.id for cut in found["test"]]
    with pytest.raises(ManifestError, match=r"manifest.csv is not there; give the folder of libri_mini"):
        script["prepare"](tmp_path, tmp_path / "out")


def test_each_strength_is_further_from_the_recording(script: dict[str, Any]) -> None:
    time_s = np.arange(32000) / 16000
    tone = sum(np.sin(2 * np.pi * 150 * k * time_s) / k for k in range(1, 12)) * (1 + np.sin(2 * np.pi * 3 * time_s))
    sound = (0.1 * tone + 0.003 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(sound))
    for kind in ("noise", "clip", "opus"):
        apart = []
        for strength in range(5):
            made = script["degraded"](sound, script["Made"](kind, strength), 1)
            assert power(made) == pytest.approx(power(sound), rel=1e-3)
            apart.append(np.mean((np.log(np.abs(np.fft.rfft(made)) + 1) - np.log(spectrum + 1)) ** 2))
        assert apart == sorted(apart), kind


def test_the_order_is_judged_within_kinds() -> None:
    orders = runpy.run_path(str(RECIPES / "degraded" / "order.py"))["orders"]
    rows = []
    for speaker in range(6):
        for kind in ("noise", "opus", "clip"):
            for strength in range(5):
                said = {"noise": 5 - strength, "opus": strength, "clip": 3.0}[kind] + 0.01 * speaker
                system = f"{kind}_{strength}" if strength else "clean"
                if strength or kind == "noise":
                    rows.append(
                        {"system": system, "predicted": {"mos": said if strength else 5.0}, "speaker": str(speaker)}
                    )
    found = orders(rows)
    assert found["noise"].value > 0.95
    assert found["opus"].value < 0.5
