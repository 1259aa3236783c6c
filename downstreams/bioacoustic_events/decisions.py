"""From a probability for each frame and class to events: threshold, median filter, gaps and least length, by class.

Decisions are made on a stream, so that a night needs no more memory than a minute. On the whole at once they are the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from audiossl.data.speech_spans import edges_of
from audiossl.downstreams.bioacoustics.events import Event
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.metrics.clusters import Floats

# What dev chooses among, of each the first where several are alike.
THRESHOLDS = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95, 0.02, 0.98, 0.01, 0.99)
MEDIANS_S = (0.0, 0.03, 0.07, 0.15, 0.3)
GAPS_S = (0.0, 0.03, 0.1, 0.3, 1.0)
SHORTEST_S = (0.0, 0.03, 0.1, 0.3, 1.0)

Run = tuple[int, int, float]  # first frame, the frame after the last, highest probability


class EventRule(NamedTuple):
    """How one class is decided.

    threshold: the probability from which on it is heard.
    median_s: the length of the filter over decisions, 0 for none.
    gap_s: a gap that is no longer is part of the event.
    shortest_s: an event that is shorter is none.
    """

    threshold: float = 0.5
    median_s: float = 0.0
    gap_s: float = 0.0
    shortest_s: float = 0.0

    def half_width(self, step_s: float) -> int:
        """Frames on either side that the filter sees."""
        return round(self.median_s / step_s) // 2

    def active(self, probabilities: Floats, step_s: float) -> npt.NDArray[np.bool_]:
        """(T,) where the class is heard: in most frames of the filter. At the ends, the first and the last count on.

        probabilities: (T,).
        step_s: from one frame to the next.
        """
        above, half = probabilities >= self.threshold, self.half_width(step_s)
        if not half or not len(above):
            return above
        sums = np.concatenate([[0], np.cumsum(np.pad(above, half, mode="edge"))])
        most: npt.NDArray[np.bool_] = sums[2 * half + 1 :] - sums[: -2 * half - 1] > half
        return most


class EventStream:
    """Events of probabilities that come in parts.

    labels: the C classes.
    rules: how each is decided.
    clock: when frames are.
    duration_s: of the recording.
    """

    def __init__(self, labels: Sequence[str], rules: Sequence[EventRule], clock: FrameClock, duration_s: float) -> None:
        self.labels, self.rules, self.clock, self.duration_s = labels, rules, clock, duration_s
        self._reach = max((rule.half_width(clock.step_s) for rule in rules), default=0)
        self._gaps = [round(rule.gap_s / clock.step_s) for rule in rules]
        self._held: Floats = np.zeros((0, len(labels)))
        self._base = self._settled = 0  # number of the first frame that is held, and of the first that is not decided
        self._open: list[Run | None] = [None] * len(labels)

    def add(self, probabilities: Floats) -> list[Event]:
        """Events that are over. probabilities: (t, C) of the next frames."""
        self._held = np.concatenate([self._held, probabilities])
        return self._settle(self._base + len(self._held) - self._reach)

    def end(self) -> list[Event]:
        """The rest of the events, after the last frame."""
        stop = self._base + len(self._held)
        found = self._settle(stop)
        for place, run in enumerate(self._open):
            found += self._event(place, run, stop) if run is not None else []
        self._open = [None] * len(self.labels)
        return sorted(found)

    def _settle(self, stop: int) -> list[Event]:
        """Decide the frames before `stop`, of which the filter has seen what it needs."""
        if stop <= self._settled:
            return []
        found: list[Event] = []
        inside = slice(self._settled - self._base, stop - self._base)
        for place, rule in enumerate(self.rules):
            values = self._held[:, place]
            active = rule.active(values, self.clock.step_s)[inside]
            for first, last in zip(*edges_of(active), strict=True):
                run = (self._settled + int(first), self._settled + int(last), float(values[inside][first:last].max()))
                found += self._joined(place, run)
        self._settled = stop
        kept = max(0, stop - self._reach - self._base)
        self._held, self._base = self._held[kept:], self._base + kept
        return sorted(found)

    def _joined(self, place: int, run: Run) -> list[Event]:
        """The event that is over as this run begins, if there is one."""
        before = self._open[place]
        if before is not None and run[0] - before[1] <= self._gaps[place]:
            self._open[place] = (before[0], run[1], max(before[2], run[2]))
            return []
        self._open[place] = run
        return self._event(place, before, None) if before is not None else []

    def _event(self, place: int, run: Run, num_frames: int | None) -> list[Event]:
        """The event of a run, none where it is too short. num_frames: of the recording, where its end is reached."""
        first, stop, peak = run
        start_s = 0.0 if first == 0 else self._edge_s(first)
        end_s = self.duration_s if stop == num_frames else self._edge_s(stop)
        times = round(start_s, 4), round(end_s, 4)
        if times[1] <= times[0] or times[1] - times[0] < self.rules[place].shortest_s - 1e-9:
            return []
        return [Event(*times, self.labels[place], round(peak, 5))]

    def _edge_s(self, frame: int) -> float:
        """Where a frame begins to count, halfway between two centres."""
        return min(max(self.clock.first_s + (frame - 0.5) * self.clock.step_s, 0.0), self.duration_s)


def events_in(
    probabilities: Floats, labels: Sequence[str], rules: Sequence[EventRule], clock: FrameClock, duration_s: float
) -> list[Event]:
    """The events of a whole recording, in the order of time.

    probabilities: (T, C).
    labels, rules, clock, duration_s: as `EventStream` takes them.
    """
    stream = EventStream(labels, rules, clock, duration_s)
    return sorted([*stream.add(probabilities), *stream.end()])


def best_rule(score_of: Callable[[EventRule], float], wanted: EventRule, fixed: Sequence[bool]) -> EventRule:
    """The rule with the highest score: threshold and filter first, then gap and least length under these.

    score_of: what a rule is worth.
    wanted: the values of what is fixed.
    fixed: of the four parts of a rule, whether it stays as wanted.
    """
    grids = [(value,) if stays else grid for value, stays, grid in zip(wanted, fixed, _GRIDS, strict=True)]
    none = [value if stays else 0.0 for value, stays in zip(wanted, fixed, strict=True)]
    first = max((EventRule(*each, *none[2:]) for each in product(*grids[:2])), key=score_of)
    return max((EventRule(*first[:2], *each) for each in product(*grids[2:])), key=score_of)


_GRIDS = (THRESHOLDS, MEDIANS_S, GAPS_S, SHORTEST_S)
