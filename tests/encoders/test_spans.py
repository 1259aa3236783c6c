"""Rows of a table: frames, windows and whole recordings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.core.errors import ConfigError
from audiossl.data.frame_labels import first_centre_s
from audiossl.encoders.spans import Place, Spans, means_into


@pytest.mark.parametrize(("window_s", "hop_s"), [(1.0, 0.0), (1.0, 0.4), (0.5, 0.7), (30.0, 0.0)])
@pytest.mark.parametrize("samples", [16000, 40123, 65000])
def test_a_window_has_the_frames_whose_centres_lie_in_it(window_s: float, hop_s: float, samples: int) -> None:
    encoder, duration_s = load_upstream("log_mel"), samples / 16000
    frames = encoder.num_frames(samples)
    centres = [first_centre_s(encoder) + frame * encoder.stride / 16000 for frame in range(frames)]
    found = list(Spans(encoder, window_s, hop_s).of(frames, duration_s))
    assert [span.start_s for span in found] == pytest.approx([n * (hop_s or window_s) for n in range(len(found))])
    for span in found:
        last = span.end_s == duration_s  # whose end is in it
        start_s = span.start_s or -1.0  # as the first centre is
        inside = [n for n, moment in enumerate(centres) if start_s <= moment + 1e-9 < span.end_s + last]
        assert inside == list(range(span.first, span.stop))
    if hop_s <= window_s:
        assert {frame for span in found for frame in range(span.first, span.stop)} == set(range(frames))
        assert found[-1].end_s == pytest.approx(duration_s)


def test_without_windows_a_row_is_a_frame_or_the_recording() -> None:
    encoder = load_upstream("log_mel")
    frames = list(Spans(encoder).of(3, 0.04))
    assert [(span.first, span.stop) for span in frames] == [(0, 1), (1, 2), (2, 3)]
    assert frames[0].end_s == pytest.approx(frames[1].start_s)
    assert frames[-1].end_s <= 0.04
    assert list(Spans(encoder, whole=True).of(7, 0.1)) == [(0.0, 0.1, 0, 7)]


def test_a_window_without_a_frame_is_no_row() -> None:
    encoder = load_upstream("log_mel")  # a frame every 10 ms
    found = list(Spans(encoder, 0.004).of(10, 0.1))
    assert [span.first for span in found] == list(range(10))


def test_times_are_of_the_file_and_means_come_row_by_row() -> None:
    encoder, place = load_upstream("log_mel"), Place("a.wav", 2.0, 1.0)
    spans, states = Spans(encoder, 0.4), torch.arange(100.0)[:, None]
    assert spans.times("a", 100, place).tolist() == [[2.0, 2.4], [2.4, 2.8], [2.8, 3.0]]
    with pytest.raises(ConfigError, match="No frame of 'a' lies in a window of 0.4 s"):
        spans.times("a", 0, place)

    given: list[tuple[int, list[float]]] = []

    class Rows:
        def add(self, first: int, states: Sequence[Tensor]) -> None:
            given.append((first, [float(state) for state in states]))

    means = means_into(Rows(), spans, 100, 1.0)
    for first in range(0, 100, 30):
        means.add(first, [states[first : first + 30], -states[first : first + 30]])
    expected = [float(states[span.first : span.stop].mean()) for span in spans.of(100, 1.0)]
    assert [number for number, _ in given] == [0, 1, 2]
    for (_, found), mean in zip(given, expected, strict=True):
        assert found == pytest.approx([mean, -mean])
