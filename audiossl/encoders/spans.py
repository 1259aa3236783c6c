"""Which frames of a recording a row of a table stands for: each by itself, all of them, or those of a window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from audiossl.data.frame_labels import HasFrames, first_centre_s

_NEARLY = 1e-6  # of a frame: a centre so near to a window's start belongs to it


class FrameSpan(NamedTuple):
    """From `start_s` to `end_s` seconds, where the centres of the frames `first` to `stop` - 1 lie."""

    start_s: float
    end_s: float
    first: int
    stop: int


@dataclass(frozen=True)
class Spans:
    """How recordings are cut into rows.

    encoder: whose frames they are.
    window_s: seconds in a window, 0 for none.
    hop_s: seconds from the start of a window to that of the next, 0 for `window_s`.
    whole: without windows, whether the recording is one row, and not each frame.
    """

    encoder: HasFrames
    window_s: float = 0.0
    hop_s: float = 0.0
    whole: bool = False

    def of(self, num_frames: int, duration_s: float) -> Iterator[FrameSpan]:
        """The rows of a recording, in order. The last window is as long as what is left of it.

        A window in which no frame has its centre, which may be the last one, is no row.
        """
        if not self.window_s:
            yield from self._by_frames(num_frames, duration_s)
            return
        hop, number, end = self.hop_s or self.window_s, 0, 0.0
        while end < duration_s and (start := number * hop) < duration_s:
            end = start + self.window_s
            first = self._frame(start) if start else 0  # the first centre may lie before the sound
            stop = num_frames if end >= duration_s else self._frame(end)
            if min(stop, num_frames) > first:
                yield FrameSpan(start, min(end, duration_s), first, min(stop, num_frames))
            number += 1

    def _by_frames(self, num_frames: int, duration_s: float) -> Iterator[FrameSpan]:
        if self.whole:
            yield FrameSpan(0.0, duration_s, 0, num_frames)
            return
        step, centre = self._step_s, first_centre_s(self.encoder)
        for frame in range(num_frames):
            start = centre + (frame - 0.5) * step
            yield FrameSpan(max(start, 0.0), min(start + step, duration_s), frame, frame + 1)

    @property
    def _step_s(self) -> float:
        return self.encoder.stride / self.encoder.sample_rate_hz

    def _frame(self, moment_s: float) -> int:
        """The first frame whose centre is not before a moment."""
        return max(0, math.ceil((moment_s - first_centre_s(self.encoder)) / self._step_s - _NEARLY))
