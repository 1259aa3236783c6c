"""Reading sound files: what is right comes out exactly, and each thing that is wrong is one sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording

from audiossl.core.errors import AudioError
from audiossl.data.checks import validate
from audiossl.data.reading import audio_facts, path_of, place_of, read_audio, read_cut


def test_a_segment_is_read_exactly(sound):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, 16000).astype(np.float32)
    path = sound("noise.wav", samples, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path), samples)
    np.testing.assert_array_equal(read_audio(path, start_s=0.25, duration_s=0.5), samples[4000:12000])
    np.testing.assert_array_equal(read_audio(path, start_s=0.75), samples[12000:])
    assert read_audio(path).dtype == np.float32


@pytest.mark.parametrize("name", ["ląka/żółw 🐢.wav", "录音.flac", "ünï.ogg"])
def test_paths_in_any_script(sound, name):
    path = sound(name)
    assert audio_facts(path) == (8000, 16000, 1)
    assert len(read_audio(path)) == 8000


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_resampling_keeps_the_tone_and_gives_the_rounded_length(sound, rate):
    num_samples = rate + 7
    read = read_audio(sound("tone.wav", num_samples, rate, subtype="FLOAT"))
    assert len(read) == round(num_samples * 16000 / rate)
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(len(read)) / 16000)
    np.testing.assert_allclose(read[800:-800], expected[800:-800], atol=2e-3)


def test_channels_are_averaged_or_refused(sound):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1).astype(np.float32)
    path = sound("stereo.wav", stereo, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path), np.full(100, 0.125, np.float32))
    with pytest.raises(AudioError, match=r"stereo\.wav has 2 channels; read it with mono=True"):
        read_audio(path, mono=False)


def test_a_row_of_a_two_channel_recording_gives_its_channel(sound, row):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1).astype(np.float32)
    path = sound("stereo.wav", stereo, subtype="FLOAT")
    both = Recording.from_file(path)
    for channel, value in ((0, 0.5), (1, -0.25)):
        cut = MonoCut("one", start=0, duration=100 / 16000, channel=channel, recording=both)
        np.testing.assert_array_equal(read_cut(cut, 16000), np.full(100, value, np.float32))
    np.testing.assert_array_equal(read_cut(row("mean", 100, path=path), 16000), np.full(100, 0.125, np.float32))


def test_a_row_reads_exactly_its_samples(sound, row):
    samples = np.random.default_rng(1).uniform(-0.9, 0.9, 8000).astype(np.float32)
    path = sound("noise.wav", samples, 22050, subtype="FLOAT")
    cut = row("part", 8000, 22050, path, start=1234, kept=777)
    np.testing.assert_array_equal(read_cut(cut, 22050), samples[1234:2011])
    assert len(read_cut(cut, 16000)) == round(777 * 16000 / 22050)


def test_a_row_that_lhotse_puts_together_is_left_to_it(sound, row):
    samples = np.random.default_rng(2).uniform(-0.4, 0.4, 4000).astype(np.float32)
    cut = row("base", 4000, path=sound("noise.wav", samples, subtype="FLOAT"))
    joined = cut.append(cut)
    assert path_of(joined) is None
    np.testing.assert_allclose(read_cut(joined, 16000), np.concatenate([samples, samples]), atol=1e-6)


def test_what_is_wrong_with_a_file_is_said(sound, tmp_path):
    (tmp_path / "void.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "folder.wav").mkdir()
    sound("none.wav", np.zeros(0, np.float32))
    for name, message in {
        "lost.wav": "is missing; correct the path",
        "void.wav": r"is empty \(0 bytes\)",
        "none.wav": "is empty: it holds no samples",
        "text.wav": "cannot be read as sound .* convert it to WAV or FLAC",
        "folder.wav": "is a folder",
    }.items():
        for read in (read_audio, audio_facts):
            with pytest.raises(AudioError, match=f"{name} {message}"):
                read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_a_file_that_is_cut_off_is_never_read_as_a_shorter_one(sound, suffix):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 160000).astype(np.float32)
    path = sound(f"half.{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=rf"half\.{suffix} is .*(truncated|damaged).*download it again"):
        read_audio(path)


def test_a_streamed_wav_without_a_final_size_is_no_truncated_one(sound):
    path = sound("streamed.wav", 4000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path)) == 4000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(sound, bad):
    samples = np.zeros(16000, np.float32)
    samples[8000] = bad
    path = sound("bad.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"bad\.wav holds NaN or infinity \(first at 0\.500 s\)"):
        read_audio(path)
    assert len(read_audio(path, duration_s=0.5)) == 8000


def test_silence_is_allowed_unless_it_is_not(sound):
    path = sound("silent.wav", np.zeros(160, np.float32))
    assert not read_audio(path).any()
    with pytest.raises(AudioError, match=r"silent\.wav is silent"):
        read_audio(path, on_silence="error")


@pytest.mark.parametrize(("start_s", "duration_s"), [(0.4, 0.2), (0.6, None), (-0.1, 0.2), (0.0, 0.0), (0.1, 0.5)])
def test_a_part_outside_the_recording(sound, start_s, duration_s):
    path = sound("short.wav", 8000)
    with pytest.raises(AudioError, match=r"short\.wav lasts 0\.500 s, .* is outside it"):
        read_audio(path, start_s=start_s, duration_s=duration_s)


def test_a_row_whose_file_has_another_rate(sound, row):
    path = sound("eight.wav", 8000, 8000)
    with pytest.raises(AudioError, match=r"eight\.wav is sampled at 8000 Hz, .* row wrong says 16000 Hz"):
        read_cut(row("wrong", 8000, 16000, path), 16000)


def test_every_message_is_one_sentence(sound, tmp_path):
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / "lost.wav")
    assert re.fullmatch(r"[^\n]+[^.\n]\.", str(caught.value))


def test_soundfile_agrees(sound):
    path = sound("tone.flac", 5000)
    np.testing.assert_array_equal(read_audio(path), soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize(
    ("channel", "listed", "num_channels", "message"),
    [
        (7, [0], 1, r"The manifest row x is of channel 7, and its recording lists \[0\]; correct the row"),
        (2, [0, 1], 2, r"is of channel 2, and its recording lists \[0, 1\]"),
        (1, [0, 1], 1, r"stereo\.wav has 1 channel\(s\), and its manifest row x lists 2; make the manifest again"),
    ],
)
def test_a_channel_that_is_not_there(sound, row, channel, listed, num_channels, message):
    path = sound("stereo.wav", np.full((800, num_channels), 0.25, np.float32))
    cut = row("x", 800, path=path)
    source = replace(cut.recording.sources[0], channels=listed)
    cut = replace(cut, channel=channel, recording=replace(cut.recording, sources=[source], channel_ids=listed))
    with pytest.raises(AudioError, match=message):
        read_cut(cut, 16000)
    (problem,) = validate([cut], read_audio=False)
    assert re.search(message, problem.message)


def test_a_message_calls_a_member_by_its_name_and_tar(row):
    digest = "0" * 32
    assert place_of(row("a", 8, path=f"/x/1.tar#512+9:{digest}:a.flac")) == "a.flac in /x/1.tar"
    assert place_of(row("a", 8, path="b.wav")) == "b.wav"
    assert place_of(row("a", 8).append(row("b", 8))) != ""
