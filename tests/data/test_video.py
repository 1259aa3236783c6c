"""Sound of films and telephones, by PyAV."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from audiossl.core.errors import AudioError
from audiossl.data.containers import HeldFile
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import audio_facts, read_audio, read_cut
from audiossl.data.sound_folder import SoundFolder
from audiossl.data.video import format_of

RATE = 48000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE // 2) / RATE)).astype(np.float32)


def film(form: str, codec: str, num_channels: int = 1, pictures: bool = False) -> bytes:
    av = pytest.importorskip("av")
    buffer, layout = io.BytesIO(), "mono" if num_channels == 1 else "stereo"
    with av.open(buffer, "w", format=form) as out:
        track = out.add_stream(codec, rate=RATE)
        track.layout = layout
        if pictures:
            screen = out.add_stream("mpeg4", rate=5)
            screen.width = screen.height = 16
            black = [av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8)) for _ in range(10)]  # two seconds
            out.mux([packet for each in (*black, None) for packet in screen.encode(each)])
        frame = av.AudioFrame.from_ndarray(np.stack([TONE] * num_channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        out.mux([*track.encode(frame), *track.encode(None)])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "codec", "suffix"),
    [("mov", "pcm_s16le", ".mov"), ("ipod", "alac", ".m4a"), ("mp4", "aac", ".mp4"), ("webm", "libopus", ".webm")],
)
def test_a_sound_track_is_that_of_the_film(tmp_path, form, codec, suffix):
    path = tmp_path / f"film{suffix}"
    path.write_bytes(film(form, codec, 2))
    assert audio_facts(path) == (len(TONE), RATE, 2)
    found = read_audio(path, sample_rate_hz=RATE)
    if codec in ("pcm_s16le", "alac"):
        np.testing.assert_allclose(found, TONE, atol=2e-5)
    middle = slice(2000, -2000)
    assert np.corrcoef(found[middle], TONE[middle])[0, 1] > 0.99
    np.testing.assert_array_equal(read_audio(path, start_s=0.1, duration_s=0.2, sample_rate_hz=RATE), found[4800:14400])
    (cut,) = cuts_of([str(tmp_path)])
    np.testing.assert_array_equal(read_cut(cut, RATE), found)
    assert Path(SoundFolder(tmp_path / "audio").place("t row 0", path.read_bytes())).read_bytes() == path.read_bytes()


def test_a_film_with_pictures_and_one_that_was_replaced(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(film("mp4", "alac", pictures=True))
    assert audio_facts(path) == (len(TONE), RATE, 1)
    path.write_bytes(film("mp4", "alac", 2))
    assert audio_facts(path).num_channels == 2


def test_films_that_cannot_be_used_are_named(tmp_path, monkeypatch):
    whole, path = film("webm", "libopus"), tmp_path / "film.webm"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"film\.webm is truncated: it states 0\.5\d* s of sound"):
        audio_facts(path)
    path.write_bytes(film("mp4", "aac")[:200])
    with pytest.raises(AudioError, match=r"film\.webm is MP4 that cannot be decoded .*copy or download it again"):
        audio_facts(path)
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "mute.mp4"), "w") as out:
        screen = out.add_stream("mpeg4", rate=5)
        screen.width = screen.height = 16
        out.mux([*screen.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))), *screen.encode(None)])
    with pytest.raises(AudioError, match=r"mute\.mp4 is MP4 without a sound track"):
        audio_facts(tmp_path / "mute.mp4")
    monkeypatch.setattr("audiossl.data.video._MOST_BYTES", 1000)
    path.write_bytes(whole)
    with pytest.raises(AudioError, match=r"has more sound than fits into memory"):
        audio_facts(path)


def test_the_package_is_named_where_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "ü.m4a"
    path.write_bytes(b"\0\0\0\x1cftypM4A and more")
    with pytest.raises(
        AudioError, match=r"ü\.m4a is MP4, which needs the package av; run `pip install audiossl-toolkit\[v"
    ):
        audio_facts(path)
    path.write_bytes(b"#EXTM3U\nhttp://x/y.ts\n")
    with pytest.raises(AudioError, match="cannot be read as sound"):
        audio_facts(path)
    found = format_of(HeldFile("x", b"#!AMR\nabc"))
    assert found is not None and found.name == "AMR"
    assert format_of(str(tmp_path / "none")) is None
