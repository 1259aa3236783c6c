"""Windows of an archive: all of it is covered, and what cannot be read is named."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys.archive import write_tone

from audiossl.core.errors import AudioError, ConfigError
from audiossl.data.archive import archive_windows, part_of
from audiossl.data.bad_rows import BadRows
from audiossl.data.config import ArchiveOptions
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import read_cut


def test_windows_cover_recordings_and_short_ones_are_whole(tmp_path: Path) -> None:
    write_tone(tmp_path / "a" / "long.wav", 500, 1.3)
    write_tone(tmp_path / "a" / "short.wav", 500, 0.3)
    cuts = list(archive_windows([str(tmp_path / "a")], ArchiveOptions(window_s=0.5), 16000))
    spans = [(cut.id, round(cut.start, 3), round(cut.end, 3)) for cut in cuts]
    assert spans == [
        ("long-0.000-0.500", 0.0, 0.5),
        ("long-0.250-0.750", 0.25, 0.75),
        ("long-0.500-1.000", 0.5, 1.0),
        ("long-0.750-1.250", 0.75, 1.25),
        ("long-0.800-1.300", 0.8, 1.3),
        ("short", 0.0, 0.3),
    ]


def test_a_part_is_the_sound_between_its_times(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "long.wav", 500, 1.3)
    (cut,) = cuts_of([str(path)])
    whole, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(read_cut(part_of(cut, 0.5, 0.75), 16000), whole[8000:12000])


def test_recordings_of_lower_rates_are_refused_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_tone(tmp_path / "low.wav", 500, 1.0, rate=8000)
    with pytest.raises(AudioError, match="the encoder's rate of 16000 Hz .the highest is 8000 Hz.*--lower-rates"):
        archive_windows([str(path)], ArchiveOptions(), 16000)
    assert len(archive_windows([str(path)], ArchiveOptions(lower_rates=True), 16000)) == 1
    write_tone(tmp_path / "high.wav", 500, 1.0)
    with caplog.at_level(logging.WARNING):
        archive_windows([str(tmp_path)], ArchiveOptions(), 16000)
    assert "1 of 2 recordings have a lower rate than the encoder's 16000 Hz, for instance low of 8000 Hz" in caplog.text


def test_an_empty_archive_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no sound|There is no"):
        archive_windows([str(tmp_path)], ArchiveOptions(), 16000)
    write_tone(tmp_path / "good.wav", 500, 1.0)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        archive_windows([str(tmp_path)], ArchiveOptions(), 16000)


def test_a_hop_longer_than_a_window_would_leave_sound_out() -> None:
    with pytest.raises(ConfigError, match="--hop-s 3 is longer than --window-s 2"):
        ArchiveOptions(hop_s=3.0)


def test_recordings_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(32000) * 0.1
    for name in ("a", "cut"):
        soundfile.write(tmp_path / f"{name}.flac", noise, 16000)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.wav").write_bytes(b"RIFF")
    options = ArchiveOptions(window_s=1.0)
    with pytest.raises(AudioError, match="junk"):
        archive_windows([str(tmp_path)], options, 16000)
    bad = BadRows(skip=True)
    found = archive_windows([str(tmp_path)], options, 16000, bad)
    assert {cut.id.partition("-")[0] for cut in found} == {"a"}
    assert {Path(name).name for name in bad.left_out} == {"cut.flac", "junk.wav"}
