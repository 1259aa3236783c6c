"""From scores of windows to turns: who speaks at each moment of the speech."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from audiossl.data.turns import Turn, joined
from audiossl.downstreams.speaker_verification.diarizing.clustering import Ints
from audiossl.downstreams.speaker_verification.diarizing.speech import Stretch
from audiossl.downstreams.speaker_verification.diarizing.windows import Window
from audiossl.metrics.clusters import Floats

_STEP_S = 0.02


def turns_in(
    speech: Sequence[Stretch], windows: Sequence[Window], scores: Floats, min_turn_s: float = 0.0
) -> list[Turn]:
    """Turns of SPEAKER_00, SPEAKER_01, ... in the order in which they are first heard, one at a time.

    Between the middles of two windows, scores go linearly from those of the one to those of the other.

    speech: when anybody speaks.
    windows: at least one of each stretch.
    scores: (N, K) of the windows: how much each is like each speaker.
    min_turn_s: a shorter turn between others goes to the neighbour that scores higher in it.
    """
    middles = np.array([(window.start_s + window.end_s) / 2 for window in windows])
    stretches = np.array([window.stretch for window in windows])
    found: list[tuple[float, float, int]] = []
    for number, (start_s, end_s) in enumerate(speech):
        own = np.flatnonzero(stretches == number)
        edges_s = np.linspace(start_s, end_s, max(1, round((end_s - start_s) / _STEP_S)) + 1)
        moments_s = (edges_s[:-1] + edges_s[1:]) / 2
        likeness = np.stack([np.interp(moments_s, middles[own], column) for column in scores[own].T], axis=1)
        labels = _smoothed(likeness, round(min_turn_s / _STEP_S))
        found += [(float(edges_s[a]), float(edges_s[b]), int(labels[a])) for a, b in _runs(labels)]
    numbers: dict[int, int] = {}
    named = [Turn(a, b, f"SPEAKER_{numbers.setdefault(label, len(numbers)):02d}") for a, b, label in found]
    return joined(named)


def _smoothed(likeness: Floats, least: int) -> Ints:
    """(T,) the best of (T, K), without runs of fewer than `least`, the shortest of which goes first."""
    labels: Ints = likeness.argmax(axis=1)
    while len(runs := _runs(labels)) > 1:
        first, stop = min(runs, key=lambda run: run[1] - run[0])
        if stop - first >= least:
            break
        beside = [int(labels[place]) for place in (first - 1, stop) if 0 <= place < len(labels)]
        labels[first:stop] = max(beside, key=lambda label: float(likeness[first:stop, label].sum()))
    return labels


def _runs(labels: Ints) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(pairwise(edges))
