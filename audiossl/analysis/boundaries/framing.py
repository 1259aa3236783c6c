"""Between frames and seconds: the states of a row at 50 frames a second or fewer, its pauses, and its boundaries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from audiossl.analysis.boundaries.settings import NORM_ABOVE, CutSetting, FrameStretch, blocks, segmented
from audiossl.data.frame_labels import HasFrames, first_centre_s
from audiossl.data.reading import read_cut
from audiossl.data.speech_spans import edges_of, speech_spans
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse.cut import Cut

_RATE_HZ = 16000
_FASTEST_HZ = 50.0
_SHORTEST_S = 0.04  # a pause or a sound between two pauses that is shorter is none


class Framed(NamedTuple):
    """The states of a row.

    states: (T, D) double precision.
    step_s: seconds from one frame to the next.
    zero_s: of the centre of the first.
    """

    states: Floats
    step_s: float
    zero_s: float

    def edge_s(self, frame: int, lasts_s: float) -> float:
        """Where a frame begins: half-way between its centre and that of the frame before, within a row of `lasts_s`."""
        return float(min(max(self.zero_s + (frame - 0.5) * self.step_s, 0.0), lasts_s))


def framed(states: Tensor, encoder: HasFrames) -> Framed:
    """States (T, D), of which frames are averaged where there are more than 50 a second."""
    rate_hz = encoder.sample_rate_hz / encoder.stride
    together = max(1, round(rate_hz / _FASTEST_HZ))
    values = states.detach().to("cpu").double().numpy()
    if together > 1:
        # What is left at the end, less than one frame of 20 ms, is dropped.
        whole = values[: max(len(values) // together, 1) * together]
        values = whole.reshape(-1, min(together, len(whole)), whole.shape[1]).mean(axis=1)
    return Framed(values, together / rate_hz, first_centre_s(encoder) + (together - 1) / 2 / rate_hz)


def speech_of(cut: Cut) -> list[tuple[float, float]]:
    """Start and end in seconds of each stretch of a row that is no pause by its energy."""
    return [(first / _RATE_HZ, last / _RATE_HZ) for first, last in speech_spans(read_cut(cut, _RATE_HZ), _RATE_HZ)]


def stretches_of(frames: Framed, speech_s: Sequence[tuple[float, float]]) -> dict[str, list[FrameStretch]]:
    """For each kind of pauses what lies between them.

    frames: the states of a row.
    speech_s: as `speech_of` gives it.
    """
    num = len(frames.states)
    centres = frames.zero_s + np.arange(num) * frames.step_s
    heard = np.zeros(num, dtype=bool)
    for start_s, end_s in speech_s:
        heard |= (centres >= start_s) & (centres < end_s)
    norms = np.linalg.norm(frames.states, axis=1)
    loud = norms >= norms.min() + NORM_ABOVE * np.ptp(norms)
    shortest = max(1, round(_SHORTEST_S / frames.step_s))
    found = {"none": [FrameStretch(0, num)], "energy": _runs(heard, shortest), "norm": _runs(loud, shortest)}
    return {name: blocks(each, frames.step_s) for name, each in found.items()}


def segments_s(
    frames: Framed,
    stretches: Mapping[str, Sequence[FrameStretch]],
    settings: Sequence[CutSetting],
    lasts_s: float,
) -> dict[CutSetting, list[tuple[float, float]]]:
    """For each setting the start and the end in seconds of each segment.

    frames: the states of a row.
    stretches: as `stretches_of` gives them.
    settings: that are asked for.
    lasts_s: how long the row is.
    """
    made: dict[CutSetting, list[tuple[float, float]]] = {}
    for setting, parts in segmented(frames.states, stretches, settings, frames.step_s):
        made[setting] = []
        for stop, starts in parts:
            edges = [frames.edge_s(int(frame), lasts_s) for frame in (*starts, stop)]
            if stop == len(frames.states):
                edges[-1] = lasts_s
            made[setting] += list(itertools.pairwise(edges))
    return made


def boundaries_s(segments: Sequence[tuple[float, float]], lasts_s: float, margin_s: float) -> Floats:
    """The starts and ends of segments, each once, but not those at the row's own start and end, which anybody finds.

    segments: start and end of each, in seconds.
    lasts_s: how long the row is.
    margin_s: what is nearer to an end of the row than this is at it.
    """
    times = np.unique(np.round([each for span in segments for each in span], 4)) if segments else np.zeros(0)
    inner: Floats = times[(times > margin_s) & (times < lasts_s - margin_s)]
    return inner


def _runs(active: np.typing.NDArray[np.bool_], shortest: int) -> list[FrameStretch]:
    starts, stops = edges_of(active)
    if not len(starts):
        return [FrameStretch(0, len(active))]  # all is pause: then nothing is
    apart = starts[1:] - stops[:-1] >= shortest
    starts, stops = starts[np.append(True, apart)], stops[np.append(apart, True)]
    long = stops - starts >= shortest
    return [FrameStretch(int(a), int(b)) for a, b in zip(starts[long], stops[long], strict=True)] or [
        FrameStretch(0, len(active))
    ]
