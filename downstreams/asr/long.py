"""Scores of a recording of any length in bounded memory.

The encoder sees windows (`audiossl.encoders.long_audio`), of which each frame is kept once. The head then sees windows
of the sequence, which share as much, and of each the centre is kept. A recording that one window holds gives exactly
what the whole gives. In a longer one, an LSTM begins afresh half an overlap before the first step that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.encoders.long_audio import MovingWindow, encode_long, plan, recording_of

if TYPE_CHECKING:
    from audiossl.downstreams.asr.task import Asr


def long_log_probs(task: Asr, cut: Cut, window_s: float, overlap_s: float) -> Iterator[Tensor]:
    """(T_i, C) log probabilities of consecutive parts of a row, on the device of the task."""
    upstream, joined = task.upstream, task.head.joined
    num_frames = upstream.num_frames(recording_of(cut, upstream.sample_rate_hz).num_samples)
    steps_per_s = upstream.frame_rate_hz / joined
    size, shared = max(int(window_s * steps_per_s), 2), 2 * int(overlap_s * steps_per_s / 2)
    frames = MovingWindow(_sequence(task, cut, window_s, overlap_s), "frame")
    for part in plan(task.head.num_steps(num_frames), size, min(shared, size - 1)):
        x = frames.part(part.start * joined, min(part.stop * joined, num_frames))
        log_probs = task.log_probs_of(x[None], torch.tensor([len(x)], device=x.device))[0][0]
        yield log_probs[part.first - part.start : part.last - part.start]


def _sequence(task: Asr, cut: Cut, window_s: float, overlap_s: float) -> Iterator[Tensor]:
    """(T_i, D) parts of what the interface makes of the encoder's frames."""
    last = task.interface.up_to_layer
    windows = encode_long(task.upstream, cut, chunk_s=window_s, overlap_s=overlap_s, up_to_layer=last)
    for _, features in windows:
        yield task.interface(features)[0]
