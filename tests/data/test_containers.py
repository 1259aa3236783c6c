"""Where the streams of a file begin, from the sizes of its frames, pages and chunks."""

from __future__ import annotations

import struct

import pytest
import soundfile
from toys.joined import RATE_HZ, bare_mp3, noise, repeated, variable_mp3, without_size

from audiossl.core.errors import AudioError
from audiossl.data.containers import Part, PartReader, _frame_of, _xing, mp3_parts, ogg_parts, unfinished_wav


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("fffb9000", 417),  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz, stereo
        ("fffb9200", 418),  # padded
        ("fffd8400", 384),  # layer II, 128 kbit/s, 48 kHz
        ("ffff1800", 48),  # layer I, 32 kbit/s, 32 kHz
        ("fff388c4", 288),  # MPEG-2, 64 kbit/s, 16 kHz, mono
        ("ffe348c4", 288),  # MPEG-2.5, 32 kbit/s, 8 kHz, mono
    ],
)
def test_the_size_of_a_frame(header, size):
    found = _frame_of(bytes.fromhex(header))
    assert found is not None
    assert found.size == size


@pytest.mark.parametrize("header", ["fffbf000", "fffb0000", "fffb9c00", "ffeb9000", "fff99000", "49443303", "ff"])
def test_what_is_no_header(header):
    assert _frame_of(bytes.fromhex(header)) is None


def test_a_table_is_put_before_frames_of_any_kind():
    for header in ("fffb9000", "fffb10c4", "fff318c4", "ffe318c4"):
        first = bytes.fromhex(header)
        made = _xing(first, 1234)
        mine, theirs = _frame_of(made[:4]), _frame_of(first)
        assert mine is not None
        assert theirs is not None
        assert (mine.kind, mine.size) == (theirs.kind, len(made))
        assert made[mine.table_at :][:12] == b"Xing" + struct.pack(">II", 1, 1234)


@pytest.mark.parametrize("rising", [True, False])
def test_variable_rate_without_a_table(tmp_path, rising):
    path = tmp_path / "vbr.mp3"
    count = variable_mp3(path, rising=rising)
    assert soundfile.info(path).frames != count  # what libsndfile makes of the first frame
    (part,) = mp3_parts(str(path), soundfile.info(path).frames)
    assert (part.start, part.stop) == (0, path.stat().st_size)


def test_what_can_be_believed_is_left_alone(tmp_path):
    path = tmp_path / "a.mp3"
    for mode in ("CONSTANT", "VARIABLE"):
        soundfile.write(path, noise(1), RATE_HZ, bitrate_mode=mode)
        assert mp3_parts(str(path), 16000) == ()
    bare_mp3(path, noise(1), 0.0)  # one rate, and no table: the size tells the length
    assert mp3_parts(str(path), soundfile.info(path).frames) == ()
    (tmp_path / "tagged.mp3").write_bytes(
        b"ID3\x04\0\0\0\0\x01\x0c" + bytes(140) + path.read_bytes() + b"TAG" + bytes(125)
    )
    assert len(mp3_parts(str(tmp_path / "tagged.mp3"), 0)) == 1


def test_joined_files_of_each_kind(tmp_path):
    size = repeated(tmp_path / "one.mp3", noise(1), 1).stat().st_size
    assert mp3_parts(str(repeated(tmp_path / "a.mp3", noise(1), 3)), 16000) == tuple(
        Part(number * size, (number + 1) * size) for number in range(3)
    )
    for subtype in ("VORBIS", "OPUS"):
        one = repeated(tmp_path / "one.ogg", noise(1), 1, format="OGG", subtype=subtype)
        assert ogg_parts(str(one)) == ()
        size = one.stat().st_size
        two = repeated(tmp_path / "two.ogg", noise(1), 2, format="OGG", subtype=subtype)
        assert [part.start for part in ogg_parts(str(two))] == [0, two.stat().st_size - size]


def test_noise_between_frames_is_passed_over(tmp_path):
    path = tmp_path / "a.mp3"
    content = bare_mp3(path, noise(1), 0.0)
    size = _frame_of(content[:4]).size  # type: ignore[union-attr]
    path.write_bytes(content[: 5 * size] + b"\xff\xfb\x90\x00 radio" + content[5 * size :])
    (part,) = mp3_parts(str(path), 0)
    assert part.header == _xing(content[:4], len(content) // size)


def test_an_mp3_that_was_cut_off(tmp_path):
    path = repeated(tmp_path / "a.mp3", noise(3), 1)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(AudioError, match=r"a\.mp3 is truncated: its header announces \d+ MP3 frames, \d+ are there"):
        mp3_parts(str(path), 48000)


def test_a_part_is_a_file(tmp_path):
    (tmp_path / "bytes").write_bytes(bytes(range(20)))
    with PartReader(str(tmp_path / "bytes"), Part(5, 15, b"head")) as part:
        assert part.read() == b"head" + bytes(range(5, 15))
        assert part.seek(-3, 2) == 11
        assert part.read(2) == bytes((12, 13))
        assert part.seek(2) == 2
        assert part.read(4) == b"ad" + bytes((5, 6))
        assert part.tell() == 6
        assert part.seek(100) == 14
        assert part.read(3) == b""


def test_a_wav_whose_recorder_was_cut_off(tmp_path):
    path = str(without_size(tmp_path / "a.wav", noise(1)))
    found = unfinished_wav(path)
    assert found is not None
    assert found.stop - found.start == 32000
    soundfile.write(path, noise(0), RATE_HZ)
    assert unfinished_wav(path) is None
    with open(path, "ab") as file:  # a chunk after no sound
        file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert unfinished_wav(path) is None
