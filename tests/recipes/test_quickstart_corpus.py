"""The corpus that ships with the project is what its script and its README say."""

from __future__ import annotations

import csv
import importlib.util
import io
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile as sf

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_corpus", QUICKSTART / "make_corpus.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with open(QUICKSTART / "corpus" / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_manifest_and_files_agree(rows: list[dict[str, str]]) -> None:
    files = {str(path.relative_to(QUICKSTART / "corpus")) for path in (QUICKSTART / "corpus").rglob("*.ogg")}
    assert {row["path"] for row in rows} == files
    for row in rows:
        sound, rate_hz = sf.read(QUICKSTART / "corpus" / row["path"], dtype="float32")
        assert sound.ndim == 1 and str(rate_hz) == row["sample_rate"]
        assert abs(sound.size / rate_hz - float(row["duration"])) < 1e-3
        assert 0.05 < np.abs(sound).max() < 1.0


def test_splits_share_no_voice_and_no_variant(rows: list[dict[str, str]]) -> None:
    voices = {split: {row["speaker"] for row in rows if row["split"] == split} for split in ("train", "dev", "test")}
    variants = [voice.split("+")[1] for split in voices.values() for voice in split]
    assert {split: len(names) for split, names in voices.items()} == {"train": 10, "dev": 3, "test": 6}
    assert len(variants) == len(set(variants)) == 19


def test_every_voice_says_every_word_equally_often(rows: list[dict[str, str]]) -> None:
    counts = Counter((row["split"], row["label"]) for row in rows)
    assert counts == {(s, str(d)): n for s, n in (("train", 30), ("dev", 6), ("test", 12)) for d in range(10)}


def test_checksum_is_the_one_that_libogg_wrote(script: ModuleType) -> None:
    buffer = io.BytesIO()
    sf.write(buffer, np.sin(np.arange(20000) / 9).astype(np.float32), 16000, format="OGG", subtype="OPUS")
    written = buffer.getvalue()
    assert script.with_serial(written, int.from_bytes(written[14:18], "little")) == written


def test_another_stream_number_leaves_the_sound_alone(script: ModuleType) -> None:
    sound = np.sin(np.arange(20000) / 9).astype(np.float32)
    first, second = script.encode(sound, 1), script.encode(sound, 2)
    assert first != second and first == script.encode(sound, 1)
    np.testing.assert_array_equal(sf.read(io.BytesIO(first))[0], sf.read(io.BytesIO(second))[0])


@pytest.mark.parametrize(("slope_db", "tolerance_db"), [(0.0, 0.5), (3.0, 0.5), (6.0, 0.5)])
def test_noise_falls_by_its_slope(script: ModuleType, slope_db: float, tolerance_db: float) -> None:
    noise = script.coloured_noise(np.random.default_rng(0), 2**18, slope_db)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(2**18, 1 / script.SAMPLE_RATE_HZ)
    octaves = [power[(frequency >= low) & (frequency < 2 * low)].mean() for low in (500, 1000, 2000)]
    falls = -10 * np.log10(np.array(octaves[1:]) / np.array(octaves[:-1]))
    np.testing.assert_allclose(falls, slope_db, atol=tolerance_db)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_clip_depends_on_its_name_alone(script: ModuleType) -> None:
    clips = [clip for clip in script.clips() if clip.voice == "en-us+m1" and clip.word == "zero"]
    first, second = script.make_clip(clips[0]), script.make_clip(clips[1])
    np.testing.assert_array_equal(first, script.make_clip(clips[0]))
    assert first.shape != second.shape or np.abs(first - second).max() > 0.01
