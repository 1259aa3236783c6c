"""What is wrong with a manifest, and what is in it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from lhotse import SupervisionSegment

from audiossl.data.checks import doubtful_values, stats, validate


def test_validate_finds_everything(sound, row, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    spoilt = noise.copy()
    spoilt[5] = np.nan
    half = sound("half.flac", noise)
    half.write_bytes(half.read_bytes()[:9000])
    (tmp_path / "void.wav").touch()
    good = sound("good.wav", noise)
    files = {
        "lost": row("lost", 16000, path=tmp_path / "lost.wav"),
        "void": row("void", 16000, path=tmp_path / "void.wav"),
        "half": row("half", 16000, path=half),
        "spoilt": row("spoilt", 16000, path=sound("spoilt.wav", spoilt, subtype="FLOAT")),
        "silent": row("silent", 16000, path=sound("silent.wav", np.zeros(16000, np.float32))),
        "rate": row("rate", 16000, path=sound("rate.wav", noise, 8000)),
        "length": row("length", 16001, path=good),
        "outside": row("outside", 16000, path=good, start=8000, kept=9000),
        "brief": row("brief", 16000, path=good, kept=100),
    }
    cuts = [row("good", 16000, path=good), *files.values(), row("good", 16000, path=good)]
    found = {problem.id: problem for problem in validate(cuts)}
    messages = {
        "lost": r"lost.wav is missing",
        "void": r"void.wav is empty",
        "half": r"half.flac is truncated or damaged",
        "spoilt": r"spoilt.wav holds NaN",
        "silent": r"silent.wav is silent",
        "rate": "says 16000 Hz, but .*rate.wav has 8000 Hz",
        "length": r"16001 samples\), but .*good.wav lasts",
        "outside": "outside its recording of 1 s",
        "brief": "too short",
        "good": "the id good occurs again",
    }
    assert len(validate(cuts)) == len(messages)
    for name, message in messages.items():
        assert re.search(message, found[name].message), name
        assert found[name].path == str(tmp_path / f"{name}.wav") or name in ("half", "length", "outside", "brief")
    headers_only = {problem.id for problem in validate(cuts, read_audio=False)}
    assert headers_only == messages.keys() - {"half", "spoilt", "silent"}
    assert validate([row("good", 16000, path=good)]) == []


def labelled(cut, label, speaker):
    segment = SupervisionSegment(cut.id, cut.id, 0.0, cut.duration, speaker=speaker, custom={"label": label})
    return replace(cut, supervisions=[segment])


def test_stats(row):
    train = [
        labelled(row("a", 16000, path="a.wav"), "cat", "anna"),
        labelled(row("b", 8000, 8000, path="b.wav"), "dog", "ben"),
    ]
    test = [labelled(row("c", 48000, path="b.wav"), "cat", "ben")]
    alone = stats(train)
    assert (alone["num_rows"], alone["sample_rates_hz"]) == (2, {8000: 1, 16000: 1})
    assert (alone["labels"], alone["speakers"]) == ({"cat": 1, "dog": 1}, {"anna": 1, "ben": 1})
    assert alone["hours"] == pytest.approx(2 / 3600)
    assert alone["duration_s"]["median"] == 1
    both = stats({"train": train, "test": test})
    assert both["splits"]["train"] == alone
    assert both["shared_speakers"] == {"train & test": ["ben"]}
    assert both["shared_files"] == {"train & test": ["b.wav"]}
    assert both["doubts"] == ["test lacks 1 of the 2 labels of train: 'dog'."]


def test_what_is_doubtful_of_labels(row):
    labels = {"train": ["1", "1.0", "x|y", "Dog"], "dev": ["1", "1.0", "x", "y", "dog", "nan"], "test": ["01"]}
    rows = {
        split: [labelled(row(f"{split}{n}", 400), name, "None") for n, name in enumerate(names)]
        for split, names in labels.items()
    }
    assert stats(rows)["doubts"] == [
        "The labels '01' and '1' and '1.0' may be one.",
        "The labels 'Dog' and 'dog' may be one.",
        "The labels have 'nan', which may mean that there is none.",
        "The speakers have 'None', which may mean that there is none.",
        "dev lacks 1 of the 5 labels of train: 'Dog'.",
        "dev has 2 label(s) that train has not: 'dog', 'nan'.",
        "test lacks 5 of the 5 labels of train: '1', '1.0', 'Dog', 'x', 'y'.",
        "test has 1 label(s) that train has not: '01'.",
    ]
    assert doubtful_values(["a", "A", "caf\u00e9", "cafe\u0301", "2", "3"], "labels") == [
        "The labels 'cafe\u0301' and 'caf\u00e9' may be one."
    ]
