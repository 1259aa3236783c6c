"""What dev decides: of each class the rule with the highest F1 by overlap, or a threshold from labels of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audiossl.data.speech_spans import edges_of
from audiossl.downstreams.bioacoustic_events.decisions import MEDIANS_S, EventRule, best_rule
from audiossl.downstreams.bioacoustics.thresholds import best_threshold
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.metrics.clusters import Floats, Ints
from audiossl.metrics.sound_events import SoundEvent, overlap_pairs

_APART_S = 10.0  # between two recordings on the common line of time


class DevRow(NamedTuple):
    """A recording of dev.

    probabilities: (T, C).
    duration_s: of it.
    target: its events.
    """

    probabilities: Floats
    duration_s: float
    target: Sequence[SoundEvent]


class DevLine:
    """All recordings of dev on one line of time, so that a rule is scored in one go.

    rows: the recordings.
    clock: when frames are.
    longest_median_s: of any filter.
    """

    def __init__(self, rows: Sequence[DevRow], clock: FrameClock, longest_median_s: float = max(MEDIANS_S)) -> None:
        self.clock = clock
        self.pad = EventRule(median_s=longest_median_s).half_width(clock.step_s) + 1
        rows = [row for row in rows if len(row.probabilities)]
        sizes = np.array([len(row.probabilities) for row in rows])
        lasts = np.array([row.duration_s for row in rows])
        begins_s = np.cumsum(lasts + _APART_S) - lasts - _APART_S
        # Each recording with its first and last frame repeated, which is what the filter sees at its ends.
        self.values = np.concatenate(
            [np.pad(row.probabilities, ((self.pad, self.pad), (0, 0)), "edge") for row in rows]
        )
        self.inside = np.concatenate([np.pad(np.ones(size, dtype=bool), self.pad) for size in sizes])
        self.of = np.repeat(np.arange(len(rows)), sizes + 2 * self.pad)
        edges = [
            _padded(clock.edges_s(size, last) + begin, self.pad)
            for size, last, begin in zip(sizes, lasts, begins_s, strict=True)
        ]
        self.starts_s = np.concatenate([each[:-1] for each in edges])
        self.stops_s = np.concatenate([each[1:] for each in edges])
        self.target = [
            (start + begin, end + begin, label)
            for row, begin in zip(rows, begins_s, strict=True)
            for start, end, label in row.target
        ]

    def spans(self, place: int, rule: EventRule) -> Floats:
        """(E, 2) start and end on the line of the events of a class under a rule."""
        active = rule.active(self.values[:, place], self.clock.step_s) & self.inside
        first, stop = edges_of(active)
        if not len(first):
            return np.zeros((0, 2))
        gap = round(rule.gap_s / self.clock.step_s)
        apart = (first[1:] - stop[:-1] > gap) | (self.of[first[1:]] != self.of[first[:-1]])
        first, stop = first[np.append(True, apart)], stop[np.append(apart, True)]
        spans = np.stack([self.starts_s[first], self.stops_s[stop - 1]], axis=1).round(4)
        lasting = spans[:, 1] - spans[:, 0]
        kept: Floats = spans[(lasting > 0) & (lasting >= rule.shortest_s - 1e-9)]
        return kept

    def f1(self, place: int, truth: Floats, rule: EventRule, least: float) -> float:
        """F1 by overlap of a class.

        place: of the class.
        truth: (R, 2) its events on the line.
        rule: how it is decided.
        least: intersection over union of a hit.
        """
        found = self.spans(place, rule)
        return 2 * len(overlap_pairs(truth, found, least)) / max(len(truth) + len(found), 1)


def rules_by_events(
    line: DevLine, labels: Sequence[str], wanted: EventRule, fixed: Sequence[bool], least: float
) -> list[EventRule | None]:
    """The best rule of each class, None for one without an event in dev.

    line: the recordings.
    labels: the C classes.
    wanted: the values of what is fixed.
    fixed: of the four parts of a rule, whether it stays as wanted.
    least: intersection over union of a hit.
    """
    made: list[EventRule | None] = []
    for place, label in enumerate(labels):
        truth = np.array([event[:2] for event in line.target if event[2] == label]).reshape(-1, 2)
        found = None
        if len(truth):
            found = best_rule(lambda rule, at=place, of=truth: line.f1(at, of, rule, least), wanted, fixed)  # type: ignore[misc]
        made.append(found)
    return made


def rules_by_labels(peaks: Floats, present: Ints, wanted: EventRule, fixed: Sequence[bool]) -> list[EventRule | None]:
    """Each class with the threshold of the highest F1 on labels of recordings, None for one that none or all have.

    A recording has the class where its highest probability reaches the threshold. Labels do not tell how long a call
    is, so that the rest of the rule is as wanted.

    peaks: (N, C) the highest probability of each recording.
    present: (N, C) 1 where the class is heard.
    wanted: the rest of the rule, and the threshold where that is fixed.
    fixed: as for `rules_by_events`.
    """
    made: list[EventRule | None] = []
    for scores, heard in zip(peaks.T, present.T.astype(bool), strict=True):
        if not heard.any() or heard.all():
            made.append(None)
            continue
        made.append(wanted if fixed[0] else wanted._replace(threshold=round(best_threshold(scores, heard), 6)))
    return made


def _padded(values: Floats, pad: int) -> Floats:
    """(T, ...) -> (T + 2 pad, ...) with the first and the last repeated. Frames that repeat an edge last no time."""
    return np.pad(values, ((pad, pad), *[(0, 0)] * (values.ndim - 1)), mode="edge")
