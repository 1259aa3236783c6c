"""Sound in memory becomes files: bytes as they are, samples exactly."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import AudioError, AudiosslError, ManifestError
from audiossl.data.reading import audio_facts, read_audio
from audiossl.data.sound_folder import SoundFolder, numbered_name

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 800)


def coded(form: str, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, NOISE, rate, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_bytes_are_written_as_they_are_and_once(tmp_path, form):
    folder, content = SoundFolder(tmp_path / "audio"), coded(form)
    for value in (content, {"bytes": content, "path": None}, {"bytes": content, "path": f"deep/x.{form}"}):
        place = Path(folder.place("t row 0", value))
        assert place.read_bytes() == content
        assert place.suffix == f".{form.lower()}"
        assert folder.has(str(place))
    assert len(list((tmp_path / "audio").rglob("*.*"))) == 1
    place.write_bytes(content[:50])  # a run that was stopped
    assert Path(folder.place("t row 0", content)).read_bytes() == content


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_samples_keep_their_rate_and_are_exact(tmp_path, dtype):
    samples = (NOISE * 32767).astype(np.int16) if dtype == np.int16 else NOISE.astype(dtype)
    folder = SoundFolder(tmp_path)
    for value, rate in ((samples, "44100"), ({"array": samples, "sampling_rate": 44100}, "")):
        place = folder.place("t row 0", value, rate)
        assert audio_facts(place)[:2] == (800, 44100)
        expected = samples / np.float32(32768) if dtype == np.int16 else samples.astype(np.float32)
        np.testing.assert_array_equal(read_audio(place, sample_rate_hz=44100), expected.astype(np.float32))


def test_a_path_stays_what_it_is(tmp_path):
    folder = SoundFolder(tmp_path / "audio")
    assert folder.place("t row 0", "a.wav") == folder.place("t row 0", {"bytes": None, "path": "a.wav"}) == "a.wav"
    assert folder.place("t row 0", Path("b.wav")) == "b.wav"
    assert not folder.has("a.wav")
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "has no sound"),
        ("", "has no sound"),
        (float("nan"), "has no sound"),
        ({"bytes": None, "path": None}, "has no sound"),
        (b"", r"is empty \(0 bytes"),
        (b"no sound at all", "cannot be read as sound"),
        ("https://x/a.wav", "is an address"),
        (np.zeros((2, 8)), r"float64 of shape \(2, 8\)"),
        (np.zeros(0), r"of shape \(0,\)"),
        ([1, 2], "int64 of shape"),
        (NOISE, "samples without their rate"),
        ({"array": np.array([0.1, np.nan]), "sampling_rate": 8000}, "holds NaN or infinity"),
        ({"array": 30000 * NOISE, "sampling_rate": 8000}, "full scale is 1"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path, value, message):
    with pytest.raises((AudioError, ManifestError), match=rf"t row 3.*{message}"):
        SoundFolder(tmp_path).place("t row 3", value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "audio").write_text("a file")
    with pytest.raises(AudiosslError, match="cannot be written"):
        SoundFolder(tmp_path / "audio").place("t row 0", coded("WAV"))


def test_names_are_those_of_files():
    assert numbered_name(3, "../../a b.wav") == "00000003-a_b"
    assert numbered_name(3, "c:\\x\\y.wav") == "00000003-y"
