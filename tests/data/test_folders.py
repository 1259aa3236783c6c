"""What is found in a folder, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data import folders
from audiossl.data.folders import (
    SOUND_SUFFIXES,
    UNREADABLE_SUFFIXES,
    VIDEO_SUFFIXES,
    no_sound_in,
    sounds_below,
    unreadable,
)
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import audio_facts
from audiossl.data.sources import cuts_from_folder

SOUND = np.zeros(800, np.float32)
MEND = "convert them to WAV or FLAC, or run `pip install audiossl-toolkit[video]` for films and M4A, to use them."


@pytest.fixture(autouse=True)
def without_av(monkeypatch):
    monkeypatch.setattr(folders, "find_spec", lambda name: None)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two recordings that can be read, three that cannot, and a text."""
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    soundfile.write(folder / "a.WAV", SOUND, 8000)
    soundfile.write(folder / "deeper" / "d.caf", SOUND, 8000, format="CAF")
    for name in ("c.m4a", "e.M4A", "deeper/f.wma", "notes.txt"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(("suffix", "form"), [(".caf", "CAF"), (".rf64", "RF64"), (".oga", "OGG"), (".aifc", "AIFF")])
def test_every_listed_suffix_can_be_read(tmp_path, suffix, form):
    assert suffix in SOUND_SUFFIXES
    soundfile.write(tmp_path / f"a{suffix}", SOUND, 8000, format=form)
    assert audio_facts(tmp_path / f"a{suffix}") == (800, 8000, 1)
    assert not set(SOUND_SUFFIXES) & {*UNREADABLE_SUFFIXES, *VIDEO_SUFFIXES}


def test_what_is_left_out_is_said(mixed, caplog):
    assert sounds_below(mixed) == [mixed / "a.WAV", mixed / "deeper" / "d.caf"]
    assert caplog.messages == [f"{mixed}: 3 files were left out: 2 .m4a, 1 .wma; {MEND}"]
    caplog.clear()
    assert len(cuts_of([str(mixed)])) == 2
    assert len(cuts_from_folder(mixed)["all"]) == 2
    assert len(caplog.messages) == 2
    caplog.clear()
    sounds_below(mixed / "none")
    assert not caplog.messages
    assert unreadable([Path("a.mp4")]) == "1 file was left out: 1 .mp4"


def test_a_folder_without_sound(mixed, tmp_path):
    (mixed / "a.WAV").unlink()
    (mixed / "deeper" / "d.caf").unlink()
    message = r"in holds no sound file that can be read \(3 files were left out: 2 \.m4a, 1 \.wma\); convert them"
    with pytest.raises(AudioError, match=message):
        cuts_of([str(mixed)])
    with pytest.raises(ManifestError, match=message):
        cuts_from_folder(mixed)
    (tmp_path / "bare").mkdir()
    assert "bare holds no sound file; give a folder with .aif, " in no_sound_in(tmp_path / "bare")
    assert "lost is not a folder" in no_sound_in(tmp_path / "lost")


def test_the_command_says_it(audiossl, mixed, tmp_path, caplog):
    found = audiossl("data", "from-folder", mixed, tmp_path / "out", "--no-labels")
    assert found.code == 0
    assert "3 files were left out: 2 .m4a, 1 .wma" in caplog.text


def test_films_are_found_where_they_can_be_read(mixed, monkeypatch):
    monkeypatch.setattr(folders, "find_spec", lambda name: object())
    assert [path.name for path in sounds_below(mixed)] == ["a.WAV", "c.m4a", "d.caf", "f.wma", "e.M4A"]
    assert unreadable([Path("a.m4a"), Path("b.wac")]) == "1 file was left out: 1 .wac"
