"""What is written of a row gives exactly its samples, whatever file it came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.array import Array, TemporalArray
from lhotse.audio import AudioSource

from audiossl.core.errors import ManifestError
from audiossl.data.containers import HeldFile
from audiossl.data.reading import read_cut
from audiossl.data.shard_rows import as_file, as_member, encoded
from audiossl.data.sound_file import held

RATE = 16000
NOISE = np.random.default_rng(0).uniform(-1, 1, (4000, 2)).astype(np.float32)


def samples_in(content: bytes) -> np.ndarray:
    with held(HeldFile("held", content)) as file:
        return file.part(0, file.num_samples)


@pytest.mark.parametrize(
    ("name", "subtype", "form", "suffix"),
    [
        ("a.wav", "PCM_16", "flac", ".flac"),
        ("a.wav", "PCM_16", "wav", ".wav"),
        ("a.wav", "PCM_24", "flac", ".flac"),
        ("a.wav", "PCM_U8", "flac", ".flac"),
        ("a.wav", "ULAW", "flac", ".flac"),
        ("a.wav", "FLOAT", "flac", ".wav"),
        ("a.flac", "PCM_16", "flac", ".flac"),
        ("a.flac", "PCM_24", "wav", ".wav"),
        ("a.mp3", None, "flac", ".mp3"),
        ("a.ogg", None, "wav", ".ogg"),
    ],
)
def test_a_whole_file(sound, row, name, subtype, form, suffix):
    path = sound(name, NOISE, RATE, subtype)
    made = encoded(row("a", soundfile.info(path).frames, RATE, path), form)
    assert (made.suffix, made.num_samples, made.num_channels) == (suffix, soundfile.info(path).frames, 2)
    np.testing.assert_array_equal(samples_in(made.content), samples_in(path.read_bytes()))
    if path.suffix == suffix and suffix != ".wav":
        assert made.content == path.read_bytes()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_part_is_a_recording_of_its_own(sound, row, name, tmp_path):
    path = sound(name, NOISE, RATE)
    cut = row("a", soundfile.info(path).frames, RATE, path, start=1000, kept=1500)
    made = encoded(cut)
    place = tmp_path / f"part{made.suffix}"
    place.write_bytes(made.content)
    moved = as_member(cut, str(place), made.num_samples, made.num_channels)
    assert (moved.start, moved.duration, moved.recording.num_samples, moved.id) == (0.0, 1500 / RATE, 1500, "a")
    np.testing.assert_array_equal(read_cut(moved, RATE), read_cut(cut, RATE))


def test_full_scale_and_what_no_integer_is():
    ends = np.array([[-1.0], [32767 / 32768], [0.0]], np.float32)
    assert as_file(ends, RATE, "flac")[0] == ".flac"
    for beyond in (np.array([[1.0]], np.float32), np.array([[1.5]], np.float32), np.float32([[1e-9]])):
        suffix, content = as_file(beyond, RATE, "flac")
        assert suffix == ".wav"
        np.testing.assert_array_equal(samples_in(content), beyond)
    suffix, content = as_file(np.zeros((5, 9), np.float32), RATE, "flac")  # FLAC has eight channels
    assert (suffix, samples_in(content).shape) == (".wav", (5, 9))
    assert as_file(np.zeros((5, 1), np.float32), 2_000_000, "flac")[0] == ".wav"  # nor has it every rate


def test_the_channel_of_a_row_is_all_that_is_kept(sound, row, tmp_path):
    path = sound("two.wav", NOISE, RATE)
    cut = row("a", 4000, RATE, path)
    both = dataclasses.replace(cut.recording, sources=[AudioSource("file", [0, 1], str(path))], channel_ids=[0, 1])
    said = SupervisionSegment("a", "a", 0, 0.1, channel=1)
    cut = dataclasses.replace(cut, recording=both, channel=1, supervisions=[said])
    made = encoded(cut)
    assert made.num_channels == 1
    place = tmp_path / "one.flac"
    place.write_bytes(made.content)
    moved = as_member(cut, str(place), made.num_samples, 1)
    assert (moved.channel, moved.supervisions[0].channel) == (0, 0)
    np.testing.assert_array_equal(read_cut(moved, RATE), read_cut(cut, RATE))


def test_labels_of_frames_begin_where_they_began(row):
    stored = TemporalArray(Array("numpy_files", "x", "y", [10]), 0, frame_shift=0.01, start=0.05)
    cut = row("a", 16000, RATE, start=1600, kept=8000)
    cut.custom = {"units": stored, "other": 3}
    moved = as_member(cut, "x.flac", 8000, 1)
    assert moved.custom["units"].start == pytest.approx(-0.05)
    assert (moved.custom["other"], cut.custom["units"].start) == (3, 0.05)


def test_a_row_of_no_single_file_is_refused(row):
    with pytest.raises(ManifestError, match="Row a is mixed, played faster or put together"):
        encoded(row("a", 8000, path=Path("x.wav")).perturb_speed(0.9, affix_id=False))
