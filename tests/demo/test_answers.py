"""Waveform, ranks and scores over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhotse import CutSet, MonoCut
from toys.core import LABELS, sound_of

from audiossl.core.errors import AudioError
from audiossl.data.inputs import cuts_of
from audiossl.demo.answers import NUM_PEAKS, check_length, labels_of, peaks, ranked, timeline
from audiossl.experiments.run import Run


def test_peaks_are_those_of_the_sound(sound: Callable[..., Path]) -> None:
    samples = np.zeros(40 * NUM_PEAKS, np.float32)
    samples[45], samples[-1] = 0.5, -0.25
    (cut,) = cuts_of([str(sound("a.wav", samples, rate=8000))])
    found = peaks(cut)
    assert len(found) == NUM_PEAKS
    assert (found[1], found[-1], found[0]) == ((0.0, 0.5), (-0.25, 0.0), (0.0, 0.0))
    (short,) = cuts_of([str(sound("short.wav", 3))])
    assert len(peaks(short)) == 3


def test_five_minutes_are_the_most(row: Callable[..., MonoCut]) -> None:
    check_length(row("a", 300, rate=1))
    with pytest.raises(AudioError, match="a lasts 6 minutes, and the page takes 5"):
        check_length(row("a", 360, rate=1))


def test_classes_are_ranked() -> None:
    assert ranked(["a", "b"], {"scores": [0.25, 0.75]}) == [("b", 0.75), ("a", 0.25)]
    assert ranked(["a", "b"], {"scores": [[0.9, 0.1], [0.2, 0.5]]}) == [("a", 0.9), ("b", 0.5)]


def test_scores_of_windows_follow_the_sound(demo_run: Run, sound: Callable[..., Path]) -> None:
    samples = np.concatenate([sound_of("high", 3, 1.0), sound_of("low", 4, 1.0), sound_of("noise", 5, 1.0)])
    (cut,) = cuts_of([str(sound("a.wav", samples))])
    (prediction,) = demo_run.predict(CutSet.from_cuts([cut]))
    labels = labels_of(demo_run, prediction)
    assert labels == list(LABELS)
    found = timeline(demo_run, cut, prediction, labels)
    assert found is not None
    assert found.spans[0] == (0.0, 0.75)
    assert found.spans[-1][1] == pytest.approx(3.0)
    scores = dict(found.lines)
    assert [max(labels, key=lambda label: scores[label][place]) for place in (0, -1)] == ["high", "noise"]
    assert "of 0.75 s" in found.note


def test_a_task_without_classes_and_a_blip_have_no_windows(demo_run: Run, sound: Callable[..., Path]) -> None:
    (cut,) = cuts_of([str(sound("a.wav", 2000))])
    (prediction,) = demo_run.predict(CutSet.from_cuts([cut]))
    assert labels_of(demo_run, {"predicted": "some text"}) == []
    assert timeline(demo_run, cut, prediction, []) is None
    assert timeline(demo_run, cut, prediction, list(LABELS)) is None


def test_windows_that_a_prediction_has_are_those_that_are_drawn(demo_run: Run, row: Callable[..., Any]) -> None:
    prediction = {"windows": [[0, 1], [0.5, 1.5]], "scores": [[0.1, 0.9], [0.2, 0.8]]}
    found = timeline(demo_run, row("a", 24000), prediction, ["x", "y"])
    assert found is not None
    assert found.spans == [(0.0, 1.0), (0.5, 1.5)]
    assert found.lines == [("y", [0.9, 0.8]), ("x", [0.1, 0.2])]
