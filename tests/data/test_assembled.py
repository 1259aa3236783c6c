"""What lhotse puts together is read by our reader."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording
from lhotse.audio import AudioSource
from lhotse.audio.backend import get_current_audio_backend
from toys.joined import RATE_HZ, noise, repeated

from audiossl.core.errors import AudioError
from audiossl.data.assembled import read_assembled
from audiossl.data.reading import read_cut
from audiossl.data.shard_members import PlaceError
from audiossl.data.sources import cuts_from_files


def test_joined_files_and_codings_that_cannot_seek(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1), RATE_HZ, subtype="GSM610")
    for place in (path, repeated(tmp_path / "a.ogg", noise(1), 2)):
        (cut,) = cuts_from_files([place], ["a"])
        whole = read_cut(cut, RATE_HZ)
        np.testing.assert_allclose(read_cut(cut.append(cut), RATE_HZ), np.tile(whole, 2), atol=1e-6)
        part = cut.truncate(offset=0.5, duration=0.25)
        np.testing.assert_allclose(read_cut(part.append(cut), RATE_HZ)[:4000], whole[8000:12000], atol=1e-6)


def test_a_name_is_never_a_shell_command(tmp_path, monkeypatch):
    """lhotse hands the name of a SPHERE file to a shell."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a; touch was_run;.sph"
    soundfile.write(path, noise(1), RATE_HZ, format="NIST")
    (cut,) = cuts_from_files([path], ["a"])
    assert len(read_assembled(cut.perturb_speed(1.25))) == 12800
    assert not (tmp_path / "was_run").exists()


def test_sound_in_memory_and_the_reader_of_others(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1), RATE_HZ, subtype="FLOAT")
    before = get_current_audio_backend()
    held = Recording("m", [AudioSource("memory", [0], path.read_bytes())], RATE_HZ, 16000, 1.0)
    cut = MonoCut("m", 0.25, 0.5, 0, recording=held)
    np.testing.assert_array_equal(read_cut(cut, RATE_HZ), noise(1)[4000:12000])
    assert get_current_audio_backend() is before


def test_our_sentence_comes_through(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1), RATE_HZ)
    (cut,) = cuts_from_files([path], ["a"])
    path.write_bytes(path.read_bytes()[:8000])
    before = get_current_audio_backend()
    with pytest.raises(
        AudioError, match=r"row a-.* cannot be read \(.*a\.wav is truncated: .*again\)\.|row .*truncated"
    ):
        read_cut(cut.perturb_speed(1.1), RATE_HZ)
    assert get_current_audio_backend() is before


def test_a_shard_that_is_missing_is_no_fault_of_the_row(row, tmp_path):
    place = f"{tmp_path}/none.tar#512+9:{'0' * 32}:a.flac"
    with pytest.raises(PlaceError, match=r"none\.tar is missing"):
        read_assembled(row("a", 8000, path=place).perturb_speed(1.1))
