"""Turns of rows: clipped, checked, joined, as frames and as RTTM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.turns import (
    Turn,
    check_turns,
    joined,
    read_rttm,
    speakers_at,
    speech_and_overlap_s,
    turns_for,
    turns_of,
    with_turns,
    write_rttm,
)


def conversation(*turns: tuple[float, float, str], duration_s: float = 5.0) -> MonoCut:
    said = [
        SupervisionSegment(f"{n}", "talk", start, end - start, speaker=who) for n, (start, end, who) in enumerate(turns)
    ]
    return MonoCut("talk", 0.0, duration_s, 0, supervisions=said)


def test_turns_are_those_within_the_row() -> None:
    cut = conversation((2.0, 6.0, "b"), (-1.0, 1.0, "a"), (-2.0, -1.0, "a"))
    assert turns_of(cut) == [Turn(0.0, 1.0, "a"), Turn(2.0, 5.0, "b")]


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (conversation(), "talk of dev has no turn, so nobody says who speaks"),
        (conversation((0.0, 7.5, "ann")), "talk of dev lasts 5 s, and ann speaks until 7.5 s"),
        (conversation((0.0, 1.0, "")), "The turn of row talk at 0 s has no speaker"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(cut: MonoCut, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        check_turns(cut, "dev")


def test_turns_come_back_from_a_row() -> None:
    turns = [Turn(0.5, 1.0, "a"), Turn(0.75, 2.0, "b")]
    assert turns_of(with_turns(conversation(), turns, {"overlap": "0.1"})) == turns


def test_overlap_counts_two_speakers_and_not_two_turns_of_one() -> None:
    turns = [Turn(0, 3, "a"), Turn(2, 4, "a"), Turn(1, 5, "b"), Turn(4.5, 6, "c")]
    assert joined(turns)[0] == Turn(0, 4, "a")
    assert speech_and_overlap_s(turns) == (6.0, 3.5)


def test_frames_within_a_turn_are_its_speakers() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3])
    found = speakers_at([Turn(0.1, 0.3, "b"), Turn(0.0, 0.05, "a"), Turn(0.0, 9.0, "c")], ["a", "b"], times)
    assert found.tolist() == [[True, False], [False, True], [False, True], [False, False]]


def test_rttm_of_recordings(tmp_path: Path) -> None:
    turns = {"train/mix.1": [Turn(1.0, 2.5, "b"), Turn(0.0, 1.25, "a"), Turn(3.0, 3.0004, "a")], "mix.2": []}
    read = read_rttm(write_rttm(tmp_path / "all.rttm", turns))
    assert read == {"mix.1": [Turn(0.0, 1.25, "a"), Turn(1.0, 2.5, "b")]}
    assert turns_for(read, "train/mix.1", "all.rttm") == read["mix.1"]
    with pytest.raises(LabelError, match=r"all.rttm has no turn of mix.2. Did you mean mix.1"):
        turns_for(read, "mix.2", "all.rttm")
    with pytest.raises(ManifestError, match="'a/x' and 'b/x' would both be x"):
        write_rttm(tmp_path / "two.rttm", {"a/x": [], "b/x": []})
