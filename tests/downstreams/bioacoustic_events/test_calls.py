"""What rows say of their calls: cropped, played faster, joined, as labels of frames, and bad rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiossl.core.errors import LabelError
from audiossl.downstreams.bioacoustic_events.calls import (
    calls_of,
    check_calls,
    has_calls,
    heard_in,
    joined_events,
    labels_at,
)


def row(calls: Any, start: float = 2.0, duration: float = 4.0, **fields: Any) -> MonoCut:
    recording = Recording("day", [AudioSource("file", [0], "day.wav")], 16000, 160000, 10.0)
    custom = {**({} if calls is None else {"calls": calls}), **fields}
    said = SupervisionSegment("row", "day", 0, duration, custom=custom)
    return MonoCut("row", start, duration, 0, [said], recording=recording)


def test_calls_are_those_within_the_row_from_its_start() -> None:
    cut = row([[1.0, 2.5, "a"], [3.0, 3.5, "b"], [5.5, 9.0, "a"], [0.0, 1.0, "b"]])
    assert calls_of(cut) == [(0.0, 0.5, "a"), (1.0, 1.5, "b"), (3.5, 4.0, "a")]
    assert calls_of(cut.truncate(offset=1.0, duration=1.0)) == [(0.0, 0.5, "b")]
    assert calls_of(cut.perturb_speed(2.0)) == [(0.0, 0.25, "a"), (0.5, 0.75, "b"), (1.75, 2.0, "a")]
    assert heard_in(cut, "label") == ["a", "b"]
    assert heard_in(row(None, label="b|a"), "label") == ["a", "b"]
    assert heard_in(row(None, label=""), "label") == []
    assert heard_in(row(None), "label") is None
    assert (has_calls(row([])), has_calls(row(None))) == (True, False)


def test_events_of_one_class_that_touch_are_one() -> None:
    assert joined_events([(0, 1, "a"), (1, 2, "a"), (2.5, 3, "a"), (0.5, 0.7, "a")]) == [(0, 2, "a"), (2.5, 3, "a")]


def test_no_call_is_lost_between_frames() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 0.3])
    labels = labels_at([(0.05, 0.2, "a"), (0.21, 0.25, "b"), (0.0, 0.3, "c")], ["a", "b"], times_s)
    assert labels.T.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert labels_at([(0.0, 1.0, "a")], ["a"], np.zeros(0)).shape == (0, 1)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (None, "Row row of train does not say when its calls are"),
        ([[3.0, 3.0, "a"]], "a call of 'a' from 3 s to 3 s, which is no stretch of time"),
        ([[-1.0, 3.0, "a"]], "from -1 s to 3 s, which is no stretch of time"),
        ([[3.0, 11.0, "a"]], "from 3 s to 11 s, and its recording ends at 10 s"),
        ([[3.0, 5.0, "a"], [4.0, 6.0, "a"]], "from 4 s to 6 s, while another one lasts until 5 s.*same_class=join"),
    ],
)
def test_what_cannot_be_is_one_sentence(calls: Any, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        check_calls(row(calls), "train", join=False)


def test_overlap_is_joined_where_that_is_asked_for() -> None:
    assert check_calls(row([[3.0, 5.0, "a"], [4.0, 6.0, "a"]]), "train", join=True) == [(1.0, 4.0, "a")]
    assert len(check_calls(row([[3.0, 5.0, "a"], [4.0, 6.0, "b"]]), "train", join=False)) == 2
