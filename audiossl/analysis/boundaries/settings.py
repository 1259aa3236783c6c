"""What dev chooses from: a method, its parameters, and what counts as a pause."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.boundaries.segmenters import change, directions, greedy, merged, min_cut, peaks, uniform
from audiossl.metrics.clusters import Floats, Ints

UNITS_S = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)  # how long segments are on average, for min_cut and uniform
LEAST_COSINES = (-0.4, -0.2, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MERGED_ABOVE = (1.0, 0.8, 0.6, 0.4)
WIDTHS_S = (0.02, 0.04, 0.08)
PROMINENCES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5)
PAUSES = ("none", "energy", "norm")
NORM_ABOVE = 0.1  # of the way from the least to the greatest norm of a recording, as SD-HuBERT has it
LONGEST_S = 1.0  # of a segment of min_cut
BLOCK_S = 20.0  # longer stretches are cut, so that memory is bounded


class CutSetting(NamedTuple):
    """A way to find boundaries.

    method: 'min_cut', 'greedy', 'peaks' or 'uniform'.
    pauses: what is no speech: 'none', 'energy' (35 dB below the loud), or 'norm' (frames of small norm).
    unit_s: of min_cut and uniform, how long a segment is on average.
    merge: of min_cut, above which cosine neighbours are merged. 1 for none.
    least: of greedy, the least cosine of a frame and its segment.
    width_s: of peaks, seconds on either side of a frame.
    prominence: of peaks, in standard deviations.
    """

    method: str
    pauses: str = "none"
    unit_s: float = 0.0
    merge: float = 1.0
    least: float = 0.0
    width_s: float = 0.0
    prominence: float = 0.0

    def told(self) -> str:
        """In words, for tables."""
        parts = {
            "min_cut": f"{self.unit_s:g} s, merged above {self.merge:g}" if self.merge < 1 else f"{self.unit_s:g} s",
            "greedy": f"cosine {self.least:g}",
            "peaks": f"{self.width_s:g} s, prominence {self.prominence:g}",
            "uniform": f"{self.unit_s:g} s",
        }
        return f"{parts[self.method]}, pauses: {self.pauses}"

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> CutSetting:
        """What `_asdict` gave."""
        return cls(**{name: stored[name] for name in cls._fields if name in stored})


class FrameStretch(NamedTuple):
    """A stretch without pauses: frames first to stop - 1."""

    first: int
    stop: int


def grid(method: str) -> list[CutSetting]:
    """All settings of a method. Of equals on dev the first wins."""
    if method == "min_cut":
        return [
            CutSetting(method, pauses, unit_s, merge)
            for pauses, unit_s, merge in itertools.product(PAUSES, UNITS_S, MERGED_ABOVE)
        ]
    if method == "greedy":
        return [CutSetting(method, pauses, least=least) for pauses, least in itertools.product(PAUSES, LEAST_COSINES)]
    if method == "peaks":
        widths = itertools.product(PAUSES, WIDTHS_S, PROMINENCES)
        return [CutSetting(method, pauses, width_s=width, prominence=least) for pauses, width, least in widths]
    return [CutSetting(method, pauses, unit_s) for pauses, unit_s in itertools.product(("none", "energy"), UNITS_S)]


def segmented(
    states: Floats, stretches: Mapping[str, Sequence[FrameStretch]], settings: Sequence[CutSetting], step_s: float
) -> Iterator[tuple[CutSetting, list[tuple[int, Ints]]]]:
    """Each setting with the stretches of its pauses: where each ends, and where its segments begin, in frames.

    states: (T, D) of a recording.
    stretches: of each kind of pauses.
    settings: that are asked for.
    step_s: seconds from one frame to the next.
    """
    x = directions(states)
    units_s = {each.unit_s for each in settings if each.method == "min_cut"}
    work = {}
    for setting in settings:
        made = []
        for stretch in stretches[setting.pauses]:
            if stretch not in work:
                work[stretch] = _Stretch(x[stretch.first : stretch.stop], step_s, units_s)
            made.append((stretch.stop, work[stretch].starts(setting) + stretch.first))
        yield setting, made


def blocks(stretches: Sequence[FrameStretch], step_s: float) -> list[FrameStretch]:
    """Stretches of at most 20 s, longer ones in parts of equal length."""
    most, made = max(1, round(BLOCK_S / step_s)), []
    for first, stop in stretches:
        edges = np.linspace(first, stop, math.ceil((stop - first) / most) + 1).round().astype(int)
        made += [FrameStretch(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    return made


class _Stretch:
    """The directions (T, D) of a stretch, and what several settings share of it."""

    def __init__(self, x: Floats, step_s: float, units_s: Iterable[float]) -> None:
        self.x, self.step_s, self.units_s = x, step_s, units_s
        self._cuts: dict[int, Ints] = {}
        self._changes: dict[int, Floats] = {}

    def starts(self, setting: CutSetting) -> Ints:
        """Where its segments begin."""
        if setting.method == "min_cut":
            return merged(self.x, self._cut(setting.unit_s), setting.merge)
        if setting.method == "greedy":
            return greedy(self.x, setting.least)
        if setting.method == "peaks":
            width = max(1, round(setting.width_s / self.step_s))
            if width not in self._changes:
                self._changes[width] = change(self.x, width)
            return peaks(self._changes[width], setting.prominence)
        return uniform(len(self.x), setting.unit_s / self.step_s)

    def _cut(self, unit_s: float) -> Ints:
        """All numbers of segments come from one table."""
        if not self._cuts:
            wanted = {self._count(each) for each in self.units_s}
            self._cuts = min_cut(self.x, sorted(wanted), max(1, round(LONGEST_S / self.step_s)))
        return self._cuts[self._count(unit_s)]

    def _count(self, unit_s: float) -> int:
        return math.ceil(len(self.x) * self.step_s / unit_s)
