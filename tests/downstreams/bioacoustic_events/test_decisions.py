"""From probabilities to events: by hand, and the same in parts as at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from audiossl.downstreams.bioacoustic_events.decisions import EventRule, EventStream, best_rule, events_in
from audiossl.downstreams.diarization.decisions import FrameClock

CLOCK = FrameClock(0.05, 0.1)


def test_by_hand() -> None:
    values = np.array([0.9, 0.8, 0.1, 0.7, 0.1, 0.1, 0.1, 0.6, 0.1, 0.95])[:, None]
    plain = events_in(values, ["a"], [EventRule()], CLOCK, 1.0)
    assert [event[:2] for event in plain] == [(0.0, 0.2), (0.3, 0.4), (0.7, 0.8), (0.9, 1.0)]
    assert [event.score for event in plain] == [0.9, 0.7, 0.6, 0.95]
    assert [event[:2] for event in events_in(values, ["a"], [EventRule(0.5, 0, 0.1)], CLOCK, 1.0)] == [
        (0.0, 0.4),
        (0.7, 1.0),
    ]
    long = events_in(values, ["a"], [EventRule(0.5, 0, 0.1, 0.35)], CLOCK, 1.0)
    assert long == [(0.0, 0.4, "a", 0.9)]
    assert events_in(values[:0], ["a"], [EventRule()], CLOCK, 1.0) == []


@pytest.mark.parametrize("median_s", [0.0, 0.3, 0.7])
def test_the_filter_is_the_median_of_scipy(median_s: float) -> None:
    values = np.random.default_rng(0).uniform(size=200)
    size = 2 * (round(median_s / 0.1) // 2) + 1
    expected = ndimage.median_filter((values >= 0.4).astype(np.uint8), size, mode="nearest") > 0
    assert (EventRule(0.4, median_s).active(values, 0.1) == expected).all()


def test_in_parts_of_any_length_events_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    noise = ndimage.gaussian_filter1d(rng.standard_normal((400, 2)), 3, axis=0)
    values = (0.5 + noise).clip(0, 1)
    rules = [EventRule(0.5, 0.5, 0.3, 0.4), EventRule(0.6, 0.0, 0.0, 0.0)]
    whole = events_in(values, ["a", "b"], rules, CLOCK, 40.0)
    assert len(whole) > 20
    for sizes in ([1] * 400, [7, 1, 92, 0, 300], [200, 200]):
        stream, found, first = EventStream(["a", "b"], rules, CLOCK, 40.0), [], 0
        for size in sizes:
            found += stream.add(values[first : first + size])
            first += size
        assert sorted([*found, *stream.end()]) == whole
    assert len(stream._held) <= 200 + 2  # the last part, and what the filter sees before it


def test_the_best_rule_keeps_what_is_fixed() -> None:
    wanted = EventRule(0.3, 0.15, 0.1, 0.03)
    assert best_rule(lambda rule: -abs(rule.gap_s - 0.1), EventRule(), (False,) * 4) == (0.5, 0.0, 0.1, 0.0)
    assert best_rule(lambda rule: rule.threshold, wanted, (False, True, True, True)) == (0.99, 0.15, 0.1, 0.03)
    assert best_rule(lambda rule: rule.threshold, wanted, (True,) * 4) == wanted
