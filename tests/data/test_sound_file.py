"""All of the sound that is in a file, to the sample, whatever its header says; and what is no sound is named."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import soundfile
from toys.joined import RATE_HZ, noise, repeated, variable_mp3, without_size

from audiossl.core.errors import AudioError
from audiossl.data import sound_file
from audiossl.data.checks import validate
from audiossl.data.reading import audio_facts, read_audio, read_cut
from audiossl.data.sound_file import Levels, opened
from audiossl.data.sources import cuts_from_files


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "_warned", set())


def assert_parts_are_slices(path, count):
    """Facts, a manifest, the whole and parts agree to the sample."""
    whole = read_audio(path)
    assert audio_facts(path).num_samples == len(whole) == count
    (cut,) = cuts_from_files([path], ["a"])
    assert cut.num_samples == count
    assert validate([cut]) == []
    for start, wanted in ((0, count), (count // 3, count // 2), (count // 2 - 100, 200), (count - 777, 777), (5, 10)):
        part = read_audio(path, start_s=start / RATE_HZ, duration_s=wanted / RATE_HZ)
        np.testing.assert_allclose(part, whole[start : start + wanted], atol=1e-4)
    return whole


@pytest.mark.parametrize("rising", [True, False])
def test_mp3_of_variable_rate_without_a_table(tmp_path, rising):
    path = tmp_path / "vbr.mp3"
    count = variable_mp3(path, rising=rising, seconds=2)
    whole = assert_parts_are_slices(path, count)
    assert np.abs(whole[-8000:]).max() > 0.05


@pytest.mark.parametrize(("name", "how"), [
    ("a.mp3", {}),
    ("a.ogg", {"format": "OGG", "subtype": "VORBIS"}),
    ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ("a.flac", {}),
    ("a.caf", {}),
    ("a.au", {}),
])  # fmt: skip
def test_joined_files(tmp_path, name, how):
    samples = noise(1)
    alone = read_audio(repeated(tmp_path / f"one_{name}", samples, 1, **how))
    whole = assert_parts_are_slices(repeated(tmp_path / name, samples, 3, **how), 48000)
    np.testing.assert_allclose(whole, np.tile(alone, 3), atol=1e-4)


def test_containers_of_different_rates(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(1), RATE_HZ)
    content = path.read_bytes()
    soundfile.write(path, noise(1), 8000)
    path.write_bytes(content + path.read_bytes())
    with pytest.raises(
        AudioError, match=r"a\.ogg holds further streams after the first, of other rates .*8000 Hz x 1, 1"
    ):
        read_audio(path)


def test_a_coding_that_cannot_seek(tmp_path):
    path = tmp_path / "voicemail.wav"
    soundfile.write(path, noise(2), RATE_HZ, subtype="GSM610")
    whole = assert_parts_are_slices(path, 32000)
    np.testing.assert_array_equal(whole, soundfile.read(path, dtype="float32")[0])
    with opened(path) as file:  # backwards too
        np.testing.assert_array_equal(file.part(20000, 100)[:, 0], whole[20000:20100])
        np.testing.assert_array_equal(file.part(300, 100)[:, 0], whole[300:400])


def test_a_recorder_that_was_cut_off(tmp_path, caplog):
    samples = noise(1)
    path = without_size(tmp_path / "a.wav", samples)
    np.testing.assert_allclose(assert_parts_are_slices(path, 16000), samples, atol=1e-4)
    assert "a.wav says that it has 0 bytes of sound (a recorder was cut off): 32000 are read" in caplog.text


def test_a_file_that_was_replaced_is_looked_at_again(tmp_path):
    path = repeated(tmp_path / "a.ogg", noise(1), 2)
    assert audio_facts(path).num_samples == 32000
    other = repeated(tmp_path / "b.ogg", noise(1), 3)
    other.replace(path)
    assert audio_facts(path).num_samples == 48000


def test_a_file_that_ends_a_little_early(tmp_path, row, caplog):
    caplog.set_level(logging.WARNING)
    samples = noise(1)
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
        path.write_bytes(path.read_bytes()[:-320])  # 10 ms
        files.append(path)
    for path in files:
        np.testing.assert_allclose(read_audio(path), samples[:-160], atol=1e-4)
        assert len(read_cut(row("a", 16000, path=path), 16000)) == 15840  # a row that was made of the header
        assert len(read_cut(row("a", 16000, path=path, start=8000), 8000)) == 3920
    assert caplog.text.count("ends 10 ms early: what it holds is read") == 1
    problems = [problem.message for problem in validate(row(p.stem, 15840, path=p) for p in files)]
    assert len(problems) == 3
    assert "2.wav ends 10 ms before what its header says" in problems[2]
    with pytest.raises(AudioError, match="is outside it"):
        read_cut(row("a", 17000, path=files[0]), 16000)
    with pytest.raises(AudioError, match="is outside it"):
        read_audio(files[0], start_s=0.5, duration_s=0.5)
    files[0].write_bytes(files[0].read_bytes()[:-3200])
    with pytest.raises(AudioError, match="is truncated"):
        read_audio(files[0])


@pytest.mark.parametrize(
    ("factor", "cause"),
    [(32768, "16-bit integers, so divide by 32768"), (2e9, "32-bit integers"), (1e20, "no sound")],
)
def test_samples_far_above_full_scale(tmp_path, factor, cause):
    path = tmp_path / "loud.wav"
    soundfile.write(path, noise(1) * factor, RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudioError, match=f"loud.wav has samples up to .* full scale is 1: they look like {cause}"):
        read_audio(path)
    (cut,) = cuts_from_files([path], ["a"])
    assert [cause in problem.message for problem in validate([cut])] == [True]


def test_a_little_above_full_scale_is_usual(tmp_path):
    path = tmp_path / "hot.wav"
    samples = noise(1) / np.abs(noise(1)).max()
    soundfile.write(path, samples * 1.5, RATE_HZ, subtype="FLOAT")
    (cut,) = cuts_from_files([path], ["a"])
    assert validate([cut]) == []
    np.testing.assert_array_equal(read_audio(path), samples * np.float32(1.5))
    soundfile.write(path, samples * 3, RATE_HZ, subtype="FLOAT")
    assert "hot.wav has samples up to 3 " in validate([cut])[0].message
    assert len(read_audio(path)) == 16000


def test_channels_that_cancel(tmp_path, caplog):
    path = tmp_path / "phase.wav"
    one = noise(1)
    soundfile.write(path, np.stack([one, -one], axis=1), RATE_HZ)
    (cut,) = cuts_from_files([path], ["a"])
    assert "phase.wav has channels that cancel" in validate([cut])[0].message
    assert not caplog.text
    read_cut(cut, 16000)
    read_audio(path)
    assert caplog.text.count("phase.wav has channels that cancel") == 1
    soundfile.write(path, np.stack([one, noise(1, seed=1)], axis=1), RATE_HZ)
    assert validate([cut]) == []


def test_the_power_that_a_mean_keeps():
    def kept(frames):
        assert Levels().add(frames).peak == np.abs(frames).max()
        halves = Levels().add(frames[:2]).add(frames[2:])
        return halves.share_kept

    one, other = noise(4), noise(4, seed=1)
    assert kept(np.stack([one, one], axis=1)) == pytest.approx(1)
    assert kept(np.stack([one, other], axis=1)) == pytest.approx(0.5, abs=0.02)
    assert kept(np.stack([one, 0 * one], axis=1)) == pytest.approx(0.5)
    assert kept(np.stack([one, -one], axis=1)) == 0
    assert kept(np.zeros((5, 2), np.float32)) == 1
