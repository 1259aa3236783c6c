"""The recipe of long recordings: what is placed where, levels, splits that share nothing, one seed."""

from __future__ import annotations

import csv
import gzip
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import ManifestError

ROOT = Path(__file__).resolve().parents[2]
RATE = 32000


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Two singers with songs of tones, zebra finches, and an ESC-10 of noise in five folds."""
    rng = np.random.default_rng(0)
    finches, esc = tmp_path / "finches", tmp_path / "esc10_16k"
    for folder in (finches, esc):
        (folder / "audio").mkdir(parents=True)
    clips, syllables = [["path", "speaker", "species", "recording"]], [["path", "onset", "offset", "label"]]
    for place, bird in enumerate(("bf_a", "bf_b", "zf_c")):
        for number in range(8):
            path = f"audio/{bird}_{number}.flac"
            tone = 0.2 * np.sin(2 * np.pi * (2000 + 1000 * place) * np.arange(RATE) / RATE)
            soundfile.write(finches / path, tone[: RATE if place < 2 else RATE // 4], RATE)
            clips.append([path, bird, "finch", f"{bird}-{number}.wav"])
            syllables += [[path, "0.2", "0.3", "x"], [path, "0.5", "0.8", "y"]] if place < 2 else []
    sounds = [["path", "label", "fold"]]
    for fold in range(1, 6):
        for label in ("rain", "dog_bark"):
            soundfile.write(esc / f"audio/{label}{fold}.flac", 0.05 * rng.standard_normal(32000), 16000)
            sounds.append([f"audio/{label}{fold}.flac", label, str(fold)])
    tables = {finches / "manifest.csv": clips, finches / "syllables.csv": syllables, esc / "manifest.csv": sounds}
    for path, lines in tables.items():
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    return tmp_path


def test_what_is_written(corpora: Path, tmp_path: Path) -> None:
    module = runpy.run_path(str(ROOT / "recipes" / "finch_nights" / "prepare.py"))
    minutes = {"train": 5.0, "dev": 5.0, "test": 10.0}
    for out in ("one", "two"):
        module["prepare"](corpora / "finches", corpora / "esc10_16k", tmp_path / out, 3, minutes)
    one, two = ((tmp_path / out / "truth.csv").read_text() for out in ("one", "two"))
    assert one == two
    truth = list(csv.DictReader(one.splitlines()))
    assert {row["label"] for row in truth} == {"bf_a", "bf_b", "zebra_finch"}
    sources = {split: {row["source"] for row in truth if split in row["path"]} for split in minutes}
    assert all(sources.values())
    assert not sources["train"] & sources["test"] | sources["train"] & sources["dev"] | sources["dev"] & sources["test"]
    last: dict[Any, float] = {}
    for row in truth:  # no two of one class at once, and none over the end of a part
        key, start, end = (row["path"], row["label"]), float(row["start"]), float(row["end"])
        assert start > last.get(key, 0.0)
        assert start // 300 == end // 300 == int(row["part"])
        assert end - start == pytest.approx(0.25 if row["label"] == "zebra_finch" else 0.6, abs=1e-3)
        last[key] = end
    assert soundfile.info(tmp_path / "one" / "audio" / "test.flac").frames == 600 * RATE
    with gzip.open(tmp_path / "one" / "test.jsonl.gz", "rt") as file:
        rows = [json.loads(line)["supervisions"][0]["custom"] for line in file]
    assert [row["part"] for row in rows] == ["0", "1"]
    assert sum(len(row["calls"]) for row in rows) == sum("test" in row["path"] for row in truth)


def test_a_call_has_its_level(corpora: Path) -> None:
    module = runpy.run_path(str(ROOT / "recipes" / "finch_nights" / "prepare.py"))
    call = module["Call"](np.sin(2 * np.pi * 4000 * np.arange(RATE) / RATE).astype(np.float32), "a", "a.flac")
    rain = [np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)]
    sources = module["Sources"]({"a": [call]}, rain, [np.zeros(RATE, dtype=np.float32)])
    wave, placed = module["part_of"](sources, np.random.default_rng(0))
    start, end, _, snr_db = placed[0]
    part = wave[round(start * RATE) : round(end * RATE)].astype(np.float64)
    before = wave[: round(start * RATE)].astype(np.float64)
    level = 10 * np.log10(np.mean(part**2) / np.mean(before**2))
    assert level == pytest.approx(10 * np.log10(1 + 10 ** (snr_db / 10)), abs=0.5)


def test_a_background_without_rain_is_said(corpora: Path, tmp_path: Path) -> None:
    module = runpy.run_path(str(ROOT / "recipes" / "finch_nights" / "prepare.py"))
    table = corpora / "esc10_16k" / "manifest.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "rain" not in line) + "\n")
    with pytest.raises(ManifestError, match="has no rain in the folds 1, 2, 3; give ESC-10's folder"):
        module["prepare"](corpora / "finches", corpora / "esc10_16k", tmp_path / "out")
