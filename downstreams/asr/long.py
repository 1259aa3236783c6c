"""Scores of a recording of any length in bounded memory.

The encoder sees windows (`audiossl.encoders.long_audio`), of which each frame is kept once. The head then sees windows
of the sequence, which share as much, and of each the centre is kept. A recording that one window holds gives exactly
what the whole gives. In a longer one, an LSTM begins afresh half an overlap before the first step that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.downstreams.asr.heads import CtcHead
from audiossl.encoders.long_audio import MovingWindow, encode_long, plan, recording_of
from audiossl.encoders.upstream import Upstream
from audiossl.training.interface import Interface


class Recogniser(NamedTuple):
    """What makes scores of sound."""

    upstream: Upstream
    interface: Interface
    head: CtcHead


def long_log_probs(recogniser: Recogniser, cut: Cut, window_s: float, overlap_s: float) -> Iterator[Tensor]:
    """(T_i, C) log probabilities of consecutive parts of a row, on the device of the recogniser.

    recogniser: encoder, interface and head.
    cut: the row.
    window_s: length of a window.
    overlap_s: what neighbouring windows share.
    """
    upstream, head = recogniser.upstream, recogniser.head
    num_frames = upstream.num_frames(recording_of(cut, upstream.sample_rate_hz).num_samples)
    steps_per_s = upstream.frame_rate_hz / head.joined
    size, shared = max(int(window_s * steps_per_s), 2), 2 * int(overlap_s * steps_per_s / 2)
    frames = MovingWindow(_sequence(recogniser, cut, window_s, overlap_s), "frame")
    for part in plan(head.num_steps(num_frames), size, min(shared, size - 1)):
        x = frames.part(part.start * head.joined, min(part.stop * head.joined, num_frames))
        log_probs = head.log_probs(x[None], torch.tensor([len(x)], device=x.device))[0][0]
        yield log_probs[part.first - part.start : part.last - part.start]


def _sequence(recogniser: Recogniser, cut: Cut, window_s: float, overlap_s: float) -> Iterator[Tensor]:
    """(T_i, D) parts of what the interface makes of the encoder's frames."""
    last = recogniser.interface.up_to_layer
    windows = encode_long(recogniser.upstream, cut, chunk_s=window_s, overlap_s=overlap_s, up_to_layer=last)
    for _, features in windows:
        yield recogniser.interface(features)[0]
