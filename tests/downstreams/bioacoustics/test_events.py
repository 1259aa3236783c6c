"""Overlapping windows become events."""

from __future__ import annotations

import numpy as np

from audiossl.downstreams.bioacoustics.events import events_of, scores_over_time


def test_overlapping_windows_are_averaged() -> None:
    spans = [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (3.0, 4.0)]
    scores = np.array([[0.2], [0.8], [0.9], [0.7]])
    edges, values = scores_over_time(spans, scores)
    assert edges.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(values[:, 0], [0.2, 0.5, 0.85, 0.9, np.nan, 0.7])
    events = events_of(spans, scores, ["x"], thresholds=0.6)
    assert [tuple(event) for event in events] == [(1.0, 2.0, "x", 0.9), (3.0, 4.0, "x", 0.7)]
    assert [event.start_s for event in events_of(spans, scores, ["x"], 0.6, shortest_s=1.01)] == []
    assert events_of(spans, scores, ["x"], thresholds=0.95) == []


def test_events_of_several_labels_in_the_order_of_time() -> None:
    spans = [(number * 0.5, number * 0.5 + 0.5) for number in range(4)]
    scores = np.array([[0.9, 0.1], [0.9, 0.9], [0.1, 0.9], [0.9, 0.1]])
    found = [(event.start_s, event.end_s, event.label) for event in events_of(spans, scores, ["a", "b"])]
    assert found == [(0.0, 1.0, "a"), (0.5, 1.5, "b"), (1.5, 2.0, "a")]
