"""Background is what no call is in, the quietest of it, and of the row's own recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from audiossl.core.errors import ManifestError
from audiossl.data.annotations import Annotation
from audiossl.data.background import background_of, gaps
from audiossl.data.fields import read_field
from audiossl.data.reading import path_of, read_cut
from audiossl.data.sources import cuts_from_csv

RATE = 16000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """2 s: loud calls from 0.2 to 0.6 s and from 1.0 to 1.4 s, noise between, least of it from 1.7 s on."""
    sound = 0.01 * np.random.default_rng(0).standard_normal(2 * RATE)
    sound[int(1.7 * RATE) :] *= 0.1
    for start, end in ((0.2, 0.6), (1.0, 1.4)):
        sound[int(start * RATE) : int(end * RATE)] += 0.5
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    return tmp_path / "a.wav"


def rows(recording: Path, lines: str) -> dict[str, CutSet]:
    table = recording.parent / "table.csv"
    table.write_text("path,start,end,label,split\n" + lines)
    return cuts_from_csv(table)


def test_a_call_has_the_gap_beside_it(recording: Path) -> None:
    splits = rows(recording, "a.wav,0.2,0.6,x,train\na.wav,1.0,1.4,y,test\n")
    made = background_of(splits, 0.1)
    assert (made.left_out, made.quietest) == ([], 0)
    for split, label in (("train", "x"), ("test", "y")):
        (piece,) = made.splits[split]
        assert read_field(piece, "label") == label
        assert piece.duration == pytest.approx(0.1)
        assert np.abs(read_cut(piece, RATE)).max() < 0.1  # no call of either split
    (first,) = made.splits["train"]
    assert first.end <= 0.19 + 1e-6 or 0.61 - 1e-6 <= first.start <= 0.99


def test_a_whole_recording_has_its_quietest_part(recording: Path) -> None:
    splits = rows(recording, "a.wav,,,x,train\n")
    made = background_of(splits, 0.2)
    (piece,) = made.splits["train"]
    assert made.quietest == 1
    assert piece.start >= 1.7 - 0.01
    calls = [Annotation(1.5, 2.0, "z", str(path_of(next(iter(splits["train"])))))]
    known = background_of(splits, 0.2, calls)
    assert known.quietest == 0
    assert next(iter(known.splits["train"])).end <= 1.49 + 1e-6


def test_where_there_is_none_it_is_said(recording: Path) -> None:
    splits = rows(recording, "a.wav,0.2,0.6,x,train\na.wav,0.61,1.9,y,train\n")
    with pytest.raises(ManifestError, match=r"train has no background of 0.3 s beside any of its 2 rows"):
        background_of(splits, 0.3)
    assert gaps([(0.0, 1.0)], 0.0, 1.0, 0.1) == []
