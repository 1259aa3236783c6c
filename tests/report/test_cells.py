"""Cells of a table: players, aligned words, numbers."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import soundfile
from toys.reports import RATE, write_sound

from audiossl.core.types import Table
from audiossl.report.cells import MOST_PLAYED_S, Players, shown_tables


def played(address: str) -> tuple[np.ndarray, int]:
    kind, _, data = address.partition(",")
    assert kind == "data:audio/flac;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


def test_a_player_holds_the_part_that_is_named(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "ä b.wav", 2.0)
    shown = Players().cell({"path": str(path), "start_s": 0.5, "duration_s": 1.0})
    sound, rate = played(shown.value)
    whole, _ = soundfile.read(path)
    assert (shown.kind, rate, len(sound)) == ("audio", RATE, RATE)
    np.testing.assert_allclose(sound, whole[RATE // 2 : RATE // 2 + RATE], atol=1e-4)


def test_a_long_recording_plays_its_beginning_and_says_so(tmp_path: Path) -> None:
    shown = Players().cell({"path": str(write_sound(tmp_path / "long.wav", MOST_PLAYED_S + 5))})
    assert len(played(shown.value)[0]) == MOST_PLAYED_S * RATE
    assert shown.remark == "first 30 s"


def test_a_missing_recording_and_one_too_many_are_remarks(tmp_path: Path) -> None:
    players = Players()
    assert players.cell({"path": str(tmp_path / "gone.wav")}).remark == "the recording cannot be read any more"
    players.left = 0
    assert players.cell({"path": str(write_sound(tmp_path / "there.wav"))}).remark == "no room for more players"


def test_cells_of_every_kind() -> None:
    cells = ["text", 1234, 0.123456, None, True, {"words": [["one", "one"], ["two", ""]]}]
    (table,) = shown_tables([Table("T", ["a"] * len(cells), [cells], "note")._asdict()], Players())
    assert [shown.kind for shown in table["rows"][0]] == ["text", "number", "number", "text", "text", "words"]
    assert [shown.value for shown in table["rows"][0][:5]] == ["text", "1,234", "0.1235", "", "yes"]
