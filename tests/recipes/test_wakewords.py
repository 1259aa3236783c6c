"""Wake words in the form of Speech Commands."""

from __future__ import annotations

import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys.recipes import RECIPES, rows_of

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv

RATE_HZ = 16000


def test_the_loudest_and_the_quietest_second() -> None:
    seconds_of = runpy.run_path(str(RECIPES / "wakewords" / "commands.py"))["seconds_of"]
    samples = np.full(3 * RATE_HZ, 0.01)
    samples[:RATE_HZ] = 0.0
    samples[2 * RATE_HZ :] = 0.5
    assert seconds_of(samples) == ((2 * RATE_HZ, 3 * RATE_HZ), (0, RATE_HZ))
    assert seconds_of(samples[RATE_HZ // 2 : 2 * RATE_HZ])[1] is None  # they touch
    assert seconds_of(samples[:100]) == ((0, 100), None)


def test_silence_is_of_the_recordings_of_its_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["path,label,split"]
    for split in ("train", "dev", "test"):
        for number, label in enumerate(["alexa", "jarvis", "view_glass"] * 2):
            samples = 0.001 * np.random.default_rng(number).standard_normal(3 * RATE_HZ)
            samples[2 * RATE_HZ :] += 0.3 * np.sin(np.arange(RATE_HZ) * (0.1 + 0.1 * number))
            soundfile.write(tmp_path / f"{split}{number}.wav", samples, RATE_HZ, subtype="PCM_16")
            lines.append(f"{split}{number}.wav,{label},{split}")
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "split.csv"), tmp_path / "manifests")
    script = RECIPES / "wakewords" / "commands.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "manifests"), str(tmp_path / "out")])
    runpy.run_path(str(script), run_name="__main__")
    for split in ("train", "dev", "test"):
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        labels = Counter(row["supervisions"][0]["custom"]["label"] for row in rows)
        assert labels == {"alexa": 2, "jarvis": 2, "_unknown_": 2, "_silence_": 2}
        for row in rows:
            assert row["duration"] == pytest.approx(1.0)
            assert split in row["recording"]["sources"][0]["source"]
            quiet = row["supervisions"][0]["custom"]["label"] == "_silence_"
            assert (row["start"] < 1.01) == quiet
