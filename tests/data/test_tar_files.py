"""Tars are read to their end, or an error says where they are not whole."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.reading import read_audio
from audiossl.data.tar_files import TarFile, checked_sound, files_at, files_in, open_place


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_files_come_with_their_places(tmp_path):
    tar = tar_of(tmp_path / "a.tar", {"one": b"1" * 600, f"{'long/' * 40}two": b"22", "none": b""})
    whole = tar.read_bytes()
    found = {file.name: file for file in files_in(str(tar))}
    assert set(found) == {"empty", "one", f"{'long/' * 40}two", "none"}
    for file in found.values():
        assert whole[file.offset : file.offset + len(file.content)] == file.content
    for size in (100, 1500, 2048, len(whole.rstrip(b"\0"))):
        tar.write_bytes(whole[:size])
        with pytest.raises(ManifestError, match="no whole tar|truncated or damaged"):
            list(files_in(str(tar)))


def test_places(tmp_path):
    (tmp_path / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    assert files_at(str(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert files_at(str(tmp_path / "a")) == [str(tmp_path / "a")]
    assert files_at("memory://x/y.tar") == ["memory://x/y.tar"]
    with open_place(f"file://{tmp_path}/b") as file:
        assert file.read() == b"b"
    with pytest.raises(ManifestError, match="There is no .*c; name"), open_place(str(tmp_path / "c")):
        pass
    with pytest.raises(ManifestError, match="cannot be listed"):
        files_at("nosuchprotocol://x")


def test_sound_is_read_once_and_named_for_rows(tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).uniform(-0.5, 0.5, (500, 2)), 8000, format="WAV")
    tar = tar_of(tmp_path / "a.tar", {"a.wav": buffer.getvalue()})
    file = list(files_in(str(tar)))[-1]
    sound = checked_sound(file)
    assert sound[1:] == (500, 8000, 2)
    assert len(read_audio(sound.place, sample_rate_hz=8000)) == 500
    with pytest.raises(AudioError, match=r"a\.wav in .*a\.tar cannot be read as sound"):
        checked_sound(TarFile(str(tar), "a.wav", 0, b"text"))
