"""From scores of windows to turns."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.downstreams.speaker_verification.diarizing.speech import Stretch
from audiossl.downstreams.speaker_verification.diarizing.turns import turns_in
from audiossl.downstreams.speaker_verification.diarizing.windows import windows_in


def test_turns_change_where_scores_cross_and_are_named_as_they_come() -> None:
    speech = [Stretch(0.0, 6.0), Stretch(8.0, 9.0)]
    windows = windows_in(speech, 1.5, 0.75, 10.0)
    middles = np.array([(window.start_s + window.end_s) / 2 for window in windows])
    second = (middles < 3).astype(float)
    scores = np.stack([1 - second, second], axis=1)
    first, other, last = turns_in(speech, windows, scores)
    assert [turn.speaker for turn in (first, other, last)] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_01"]
    assert first.start_s == 0.0
    assert first.end_s == other.start_s == pytest.approx(3.0, abs=0.4)
    assert other.end_s == 6.0
    assert (last.start_s, last.end_s) == (8.0, 9.0)


def test_short_turns_between_others_are_smoothed_away() -> None:
    speech = [Stretch(0.0, 6.0)]
    windows = windows_in(speech, 1.5, 0.75, 6.0)
    scores = np.tile([1.0, 0.0], (len(windows), 1))
    scores[3] = [0.45, 0.55]
    assert len(turns_in(speech, windows, scores)) == 3
    (turn,) = turns_in(speech, windows, scores, min_turn_s=0.5)
    assert turn == (0.0, 6.0, "SPEAKER_00")
