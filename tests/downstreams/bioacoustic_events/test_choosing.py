"""What dev chooses: on the common line of time rules are scored as on each recording by itself."""

from __future__ import annotations

import numpy as np

from audiossl.downstreams.bioacoustic_events.choosing import DevLine, DevRow, rules_by_events, rules_by_labels
from audiossl.downstreams.bioacoustic_events.decisions import EventRule, events_in
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.metrics.sound_events import EventScoring, event_counts

CLOCK, LABELS = FrameClock(0.0125, 0.01), ["a", "b"]


def rows(count: int = 4) -> list[DevRow]:
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        target = [(0.2, 0.5, "a"), (0.5 + 0.1 * number, 1.4, "b")]
        values = rng.uniform(0, 0.6, (150 + number, 2))
        for start, end, label in target:
            values[round(start * 100) : round(end * 100), LABELS.index(label)] += 0.35
        made.append(DevRow(values, 1.5 + 0.01 * number, target))
    return made


def test_a_rule_is_scored_as_on_each_recording() -> None:
    dev, scoring = rows(), EventScoring(least_overlap=0.5)
    line = DevLine(dev, CLOCK)
    for rule in (EventRule(), EventRule(0.55, 0.07), EventRule(0.6, 0.3, 0.1, 0.1), EventRule(0.7, 0.03, 0.3, 0.0)):
        found = [events_in(row.probabilities, LABELS, [rule, rule], CLOCK, row.duration_s) for row in dev]
        counts = [
            event_counts(row.target, [event[:3] for event in events], LABELS, scoring)
            for row, events in zip(dev, found, strict=True)
        ]
        totals = np.array(counts).sum(axis=0)
        for place, label in enumerate(LABELS):
            truth = np.array([event[:2] for event in line.target if event[2] == label])
            assert len(line.spans(place, rule)) == totals[place, 1]
            assert line.f1(place, truth, rule, 0.5) == 2 * totals[place, 3] / (totals[place, 0] + totals[place, 1])


def test_events_choose_by_class_and_a_class_without_any_has_no_rule() -> None:
    line = DevLine(rows(), CLOCK)
    first, second, third = rules_by_events(line, ["a", "b", "c"], EventRule(), (False,) * 4, 0.5)
    assert first is not None
    assert second is not None
    assert third is None
    truth = np.array([event[:2] for event in line.target if event[2] == "a"])
    assert line.f1(0, truth, first, 0.5) == 1.0 > line.f1(0, truth, EventRule(), 0.5)


def test_labels_choose_thresholds_alone() -> None:
    peaks = np.array([[0.9, 0.1, 0.5], [0.7, 0.2, 0.5], [0.3, 0.6, 0.5]])
    present = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1]])
    wanted = EventRule(0.5, 0.15)
    found = rules_by_labels(peaks, present, wanted, (False, True, False, False))
    assert found == [EventRule(0.5, 0.15), EventRule(0.4, 0.15), None]
    assert rules_by_labels(peaks, present, wanted._replace(threshold=0.8), (True,) * 4)[0] == EventRule(0.8, 0.15)
