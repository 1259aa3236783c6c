"""The example of a task with three targets in one folder: found, trained, evaluated, and it predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiossl.core.files import read_jsonl
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train

Make = Callable[..., Any]


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """Tones whose pitch is the sex, whose loudness is the emotion, and whose noise is the age. A third says no age."""
    lines, rng = ["path,speaker,label,sex,age,split"], np.random.default_rng(0)
    for number in range(48):
        sex, emotion, age = "FM"[number % 2], ("anger", "neutral")[number // 2 % 2], int(rng.integers(20, 60))
        time_s = np.arange(4000 + 50 * number) / 16000
        tone = {"F": 0.1, "M": 0.1}[sex] * np.sin(2 * np.pi * {"F": 900, "M": 300}[sex] * time_s)
        tone = tone * {"anger": 5, "neutral": 1}[emotion] + 1e-4 * 10 ** (age / 30) * rng.standard_normal(len(time_s))
        soundfile.write(tmp_path / f"{number}.wav", tone, 16000)
        told = "" if number % 3 == 0 else age
        split = ("train", "train", "dev", "test")[number // 4 % 4]
        lines.append(f"{number}.wav,s{number % 6},{emotion},{sex},{told},{split}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path / "manifests")
    return tmp_path / "manifests"


def test_it_is_listed_trained_evaluated_and_predicts(
    install: Callable[[str], dict[str, str]], experiment: Make, audiossl: Make, voices: Path, tmp_path: Path
) -> None:
    assert install("voice_profile") == {"voice_profile": "voice_profile:VoiceProfile"}
    listed = {card["name"]: card for card in json.loads(audiossl("list", "downstreams", "--json").out)}
    assert listed["voice_profile"]["summary"].startswith("Emotion, sex and age at once")
    settings = [f"data.dir={voices}", "upstream=log_mel", "trainer.lr=0.01", "trainer.steps=120", "standardize=true"]
    out = train(experiment("downstream=voice_profile", *settings, "trainer.eval_every=60"), tmp_path / "run")
    done = audiossl("evaluate", out, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["emotion.uar"]["value"] > 0.9
    assert found["sex.uar"]["value"] > 0.9
    assert found["age.ccc"]["value"] > 0.3
    assert {"age.rmse", "emotion.f1", "mean"} <= set(found)
    rows = read_jsonl(out / "test" / "predictions.jsonl")
    assert any(row["target"]["age"] is None for row in rows)
    assert all(row["predicted"]["age"] >= 0 for row in rows)
    shown = audiossl("predict", out, next(iter(read_manifest(voices / "test.jsonl.gz"))).recording.sources[0].source)
    assert shown.out.split("\n")[0].split()[:4] == ["recording", "emotion", "sex", "age"]
    assert load_run(out).config.task["targets"]["age"]["loss"] == "huber"
