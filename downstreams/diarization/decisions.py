"""From a probability for each speaker and frame to turns: a threshold and a median filter, chosen on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from audiossl.data.speech_spans import edges_of
from audiossl.data.turns import Turn
from audiossl.metrics.clusters import Floats

# SUPERB's grid, with its medians of 1 and 11 frames of 20 ms in seconds. The first is taken where all are alike.
THRESHOLDS = (0.5, 0.4, 0.6, 0.3, 0.7)
MEDIANS_S = (0.22, 0.0)


class FrameClock(NamedTuple):
    """When frames are.

    first_s: the centre of the first.
    step_s: from one to the next.
    """

    first_s: float
    step_s: float

    def edges_s(self, num_frames: int, duration_s: float) -> Floats:
        """(T + 1,) where each frame begins to count, halfway between two centres, from 0 to the end."""
        inside = self.first_s + (np.arange(num_frames + 1) - 0.5) * self.step_s
        inside[0], inside[-1] = 0.0, duration_s
        return inside.clip(0.0, duration_s)


class Rule(NamedTuple):
    """How probabilities are decided.

    threshold: the probability from which on a speaker speaks.
    median_s: the length of the filter, 0 for none.
    """

    threshold: float
    median_s: float

    def active(self, probabilities: Floats, step_s: float) -> npt.NDArray[np.bool_]:
        """(T, N) who speaks. At both ends, the first and the last frame count on.

        probabilities: (T, N).
        step_s: from one frame to the next.
        """
        above = probabilities >= self.threshold
        size = 2 * (round(self.median_s / step_s) // 2) + 1
        if size <= 1 or not len(above):
            return above
        filtered: npt.NDArray[np.bool_] = ndimage.median_filter(above.astype(np.uint8), (size, 1), mode="nearest") > 0
        return filtered

    def turns(self, probabilities: Floats, clock: FrameClock, duration_s: float) -> list[Turn]:
        """The turns of speakers that are named after the places of their outputs, from `speaker_1` on.

        probabilities: (T, N).
        clock: when frames are.
        duration_s: of the recording.
        """
        active, edges_s = self.active(probabilities, clock.step_s), clock.edges_s(len(probabilities), duration_s)
        found = []
        for place in range(active.shape[1]):
            for start, stop in zip(*edges_of(active[:, place]), strict=True):
                times = (round(float(edges_s[start]), 4), round(float(edges_s[stop]), 4))
                if times[1] > times[0]:
                    found.append(Turn(*times, f"speaker_{1 + place}"))
        return sorted(found)


def best_rule(error_of: Callable[[Rule], float], thresholds: Sequence[float], medians_s: Sequence[float]) -> Rule:
    """The first rule with the lowest error.

    error_of: what a rule costs.
    thresholds: to choose among.
    medians_s: likewise.
    """
    return min((Rule(*each) for each in product(thresholds, medians_s)), key=error_of)
