"""Which frames of a recording a row stands for: each by itself, all of them, or those of a window. Their means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.data.frame_labels import HasFrames, first_centre_s

_NEARLY = 1e-6  # of a frame: a centre so near to a window's start belongs to it

Means = npt.NDArray[np.float32]


class Place(NamedTuple):
    """Where the sound of a recording lies.

    file: its path, empty where it has none.
    start_s: at which second of the file it begins.
    duration_s: how long it is.
    """

    file: str
    start_s: float
    duration_s: float


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

    def times(self, name: str, num_frames: int, place: Place) -> npt.NDArray[np.float64]:
        """(N, 2): where the rows of recording `name` begin and end in its file, in seconds.

        Raises ConfigError where it has no row.
        """
        spans = self.of(num_frames, place.duration_s)
        found = np.fromiter((edge for span in spans for edge in (span.start_s, span.end_s)), np.float64)
        if not len(found):
            raise ConfigError(
                f"No frame of {name!r} lies in a window of {self.window_s:g} s; take a longer --window-s."
            )
        return (found.reshape(-1, 2) + place.start_s).round(6)

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


class RowSink(Protocol):
    """What takes the rows of one recording in their order."""

    def add(self, first: int, states: Sequence[Tensor]) -> None:
        """States (t, D_l) of each layer, from row `first` on."""


class RowsInParts:
    """The rows of one recording on their way to a writer: sums over the frames of those that are not whole yet.

    spans: how it is cut into rows.
    num_frames: how many frames will come.
    duration_s: seconds of sound.
    give: takes each row and the mean (D,) of each layer.
    end: called after the last of them.
    """

    def __init__(
        self,
        spans: Spans,
        num_frames: int,
        duration_s: float,
        give: Callable[[FrameSpan, Sequence[Means]], None],
        end: Callable[[], None],
    ) -> None:
        self._ahead, self._give, self._end = spans.of(num_frames, duration_s), give, end
        self._num_frames = num_frames
        self._next = next(self._ahead, None)
        self._open: list[tuple[FrameSpan, list[Tensor]]] = []

    def add(self, first: int, states: Sequence[Tensor]) -> None:
        """States (t, D) of each layer, from frame `first` on. Each frame is given once, in their order."""
        states = [state.float().cpu() for state in states]
        end = first + len(states[0])
        while self._next is not None and self._next.first < end:
            self._open.append((self._next, [torch.zeros(state.shape[-1], dtype=torch.float64) for state in states]))
            self._next = next(self._ahead, None)
        still = []
        for span, sums in self._open:
            part = slice(max(span.first - first, 0), span.stop - first)
            for total, state in zip(sums, states, strict=True):
                total += state[part].double().sum(0)
            if span.stop > end:
                still.append((span, sums))
            else:
                self._give(span, [(total / (span.stop - span.first)).float().numpy() for total in sums])
        self._open = still
        if end == self._num_frames:
            self._end()


def means_into(sink: RowSink, spans: Spans, num_frames: int, duration_s: float) -> RowsInParts:
    """What takes the frames of a recording and gives their means over spans to `sink`, row by row.

    sink: takes the rows.
    spans: how the recording is cut into rows.
    num_frames: how many frames will come.
    duration_s: seconds of sound.
    """
    number = count()

    def give(_: FrameSpan, means: Sequence[Means]) -> None:
        sink.add(next(number), [torch.from_numpy(mean)[None] for mean in means])

    return RowsInParts(spans, num_frames, duration_s, give, lambda: None)
