"""Noises and rooms in folders and manifests: what is chosen, what is read, what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.augmentations.bank import SoundBank, looped, of_rirs
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv

RATE = 8000


def write(path: Path, samples: Any, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, "FLOAT" if path.suffix == ".wav" else None)
    return path


def bank(path: Path, kind: str = "", not_of: str = "room") -> SoundBank:
    return SoundBank(str(path), kind, RATE, "data.augment[0] (noise)", not_of)


def test_kinds_are_folders_or_values_of_a_field(tmp_path: Path) -> None:
    musan = tmp_path / "müsan"
    for kind in ("noise", "music", "speech"):
        write(musan / kind / "free" / f"{kind}.wav", np.full(50, 0.1))
    assert [piece.stem for piece in bank(musan, "noise, music").pieces] == ["music", "noise"]
    assert len(bank(musan)) == 3
    with pytest.raises(ConfigError, match="kind=musik, of which its path has nothing. Did you mean music"):
        bank(musan, "musik")
    table = tmp_path / "table.csv"
    lines = [f"{path},{path.parent.parent.name}" for path in sorted(musan.rglob("*.wav"))]
    table.write_text("\n".join(["path,kind", *lines]), encoding="utf-8")
    manifest = write_manifests(cuts_from_csv(table), tmp_path)["all"]
    assert [cut.supervisions[0].custom["kind"] for cut in bank(manifest, "speech").pieces] == ["speech"]
    assert of_rirs("RIRS_NOISES/simulated_rirs/smallroom/Room001/a.wav") == "room"
    mixed = tmp_path / "real_rirs_isotropic_noises"
    write(mixed / "RVB2014_type1_noise_largeroom1_1.wav", np.ones(9))
    write(mixed / "RVB2014_type1_rir_largeroom1_1.wav", np.ones(9))
    assert ["noise" in piece.stem for piece in bank(tmp_path, "real_rirs_isotropic_noises").pieces] == [True]
    assert ["noise" in piece.stem for piece in bank(mixed, not_of="noise").pieces] == [False]


def test_parts_are_of_their_place_at_the_rate_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.linspace(-1, 1, 30 * RATE, dtype=np.float32)
    write(tmp_path / "long" / "ramp.wav", ramp)
    long = bank(tmp_path / "long")
    part = long.part(random.Random(4), 100)
    step = 2 / (30 * RATE - 1)
    assert np.diff(part) == pytest.approx(step, rel=0.1)
    assert np.array_equal(part, ramp[round((part[0] + 1) / step) :][:100]) and not long._held
    write(tmp_path / "other" / "tone.wav", np.sin(2 * np.pi * 440 * np.arange(22050) / 22050), 22050)
    other = bank(tmp_path / "other")
    found = other.part(random.Random(1), 2 * RATE)
    assert np.abs(np.fft.rfft(found)).argmax() == 880 and len(other._held) == 1
    monkeypatch.setattr("audiossl.data.reading.opened", None)  # nothing is read again
    assert np.array_equal(other.part(random.Random(1), 2 * RATE), found)


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.wav", np.full(100, 0.1 * (1 + number)))
    monkeypatch.setattr("audiossl.data.augmentations.bank._HELD", 250)
    few = bank(tmp_path)
    draws = [float(few.part(random.Random(seed), 10)[0]) for seed in range(40)]
    assert len(few._held) == 2 and len(set(draws)) == 5


def test_a_short_recording_begins_again() -> None:
    assert looped(np.arange(3.0), 0.5, 7).tolist() == [1, 2, 0, 1, 2, 0, 1]
    assert looped(np.arange(5.0), 1.0, 2).tolist() == [3, 4]


def test_rooms_have_a_channel(tmp_path: Path) -> None:
    write(tmp_path / "two.wav", np.stack([np.eye(1, 80, 3)[0], np.eye(1, 80, 9)[0]], axis=1))
    rooms = bank(tmp_path, not_of="noise")
    assert (rooms.room(0, 0).argmax(), rooms.room(0, 1).argmax()) == (3, 9)
    with pytest.raises(AudioError, match=r"cannot use .* has 2 channel\(s\), and channel=2 is counted from 0"):
        rooms.check(channel=2)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("no path", "has no path; give path=FOLDER"),
        ("missing", "finds nothing in its path: .*is not a folder"),
        ("empty", "finds nothing in its path: .*holds no sound file"),
        ("silent", "cannot use .*silent.wav is silent: every sample is zero; leave it out"),
        ("damaged", "cannot use .*damaged.wav cannot be read as sound"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, case: str, sentence: str) -> None:
    folder = tmp_path / "noises"
    if case != "missing":
        folder.mkdir()
    if case in ("silent", "damaged"):
        write(folder / f"{case}.wav", np.zeros(99))
    if case == "damaged":
        (folder / "damaged.wav").write_bytes(b"no sound at all")
    with pytest.raises(AudiosslError, match=sentence):
        (bank(folder) if case != "no path" else SoundBank("", "", RATE, "data.augment[0] (noise)", "")).check()


def test_long_rooms_are_none(tmp_path: Path) -> None:
    write(tmp_path / "talk.wav", np.full(21 * RATE, 0.1))
    with pytest.raises(AudioError, match="lasts 21 s, which is no impulse response"):
        bank(tmp_path).check(channel=0)
