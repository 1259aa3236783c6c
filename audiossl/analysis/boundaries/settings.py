"""What dev chooses from: a method, its parameters, and what counts as a pause."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.boundaries.segmenters import directions, greedy, merged, min_cut, peaks, uniform
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
    cuts: dict[FrameStretch, dict[int, Ints]] = {}
    units_s = {each.unit_s for each in settings if each.method == "min_cut"}
    for setting in settings:
        made = []
        for stretch in stretches[setting.pauses]:
            part = x[stretch.first : stretch.stop]
            if setting.method == "min_cut" and stretch not in cuts:
                # All numbers of segments come from one table.
                wanted = {_count(len(part), unit_s, step_s) for unit_s in units_s}
                cuts[stretch] = min_cut(part, sorted(wanted), max(1, round(LONGEST_S / step_s)))
            made.append((stretch.stop, _starts(part, setting, step_s, cuts.get(stretch, {})) + stretch.first))
        yield setting, made


def blocks(stretches: Sequence[FrameStretch], step_s: float) -> list[FrameStretch]:
    """Stretches of at most 20 s, longer ones in parts of equal length."""
    most, made = max(1, round(BLOCK_S / step_s)), []
    for first, stop in stretches:
        edges = np.linspace(first, stop, math.ceil((stop - first) / most) + 1).round().astype(int)
        made += [FrameStretch(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    return made


def _count(num_frames: int, unit_s: float, step_s: float) -> int:
    return math.ceil(num_frames * step_s / unit_s)


def _starts(part: Floats, setting: CutSetting, step_s: float, cuts: Mapping[int, Ints]) -> Ints:
    """Where the segments of a stretch begin.

    part: (T, D) its directions.
    setting: how.
    step_s: seconds from one frame to the next.
    cuts: of min_cut, by the number of segments.
    """
    if setting.method == "min_cut":
        return merged(part, cuts[_count(len(part), setting.unit_s, step_s)], setting.merge)
    if setting.method == "greedy":
        return greedy(part, setting.least)
    if setting.method == "peaks":
        return peaks(part, max(1, round(setting.width_s / step_s)), setting.prominence)
    return uniform(len(part), setting.unit_s / step_s)
