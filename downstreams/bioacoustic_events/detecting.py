"""Events of a recording of any length: encoded chunk by chunk, decided frame by frame, with nothing of it kept.

The head sees `reach` frames on either side. Frames are decided when all of these are there, so that chunks have no
edges but those of the encoder (see `audiossl.encoders.long_audio`): with spectral features the events are those of the
whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.downstreams.bioacoustic_events.decisions import EventRule, EventStream
from audiossl.downstreams.bioacoustic_events.heads import EventHead
from audiossl.downstreams.bioacoustics.events import Event
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.encoders.long_audio import encode_long, fitting_chunks
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.clusters import Floats
from audiossl.training.interface import Interface


class Detector(Protocol):
    """What detection reads of a task."""

    @property
    def upstream(self) -> Upstream: ...
    @property
    def interface(self) -> Interface: ...
    @property
    def head(self) -> EventHead: ...
    @property
    def clock(self) -> FrameClock: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def rules(self) -> Sequence[EventRule]: ...
    def written(self, logits: Tensor) -> Floats: ...


def detected(task: Detector, cut: Cut, rules: Sequence[EventRule] | None = None) -> list[Event]:
    """The events of a recording in the order of time, in seconds from its start.

    task: in eval mode.
    cut: the recording.
    rules: how each class is decided. None for the task's own.
    Raises AudioError for a recording that cannot be read, or has no frame.
    """
    stream = EventStream(task.labels, rules or task.rules, task.clock, float(cut.duration))
    found: list[Event] = []
    for part in long_probabilities(task, cut):
        found += stream.add(part)
    return sorted([*found, *stream.end()])


def long_probabilities(task: Detector, cut: Cut) -> Iterator[Floats]:
    """(t, C) of the frames of a recording, part by part, each frame once.

    task: in eval mode.
    cut: the recording.
    Raises AudioError.
    """
    upstream, reach = task.upstream, task.head.reach
    chunk_s, overlap_s = fitting_chunks(upstream)
    chunks = encode_long(upstream, cut, chunk_s=chunk_s, overlap_s=overlap_s, up_to_layer=task.interface.up_to_layer)
    held: Tensor | None = None
    before = 0  # frames that are held for what they say of the next, and are decided already
    for _, features in chunks:
        with torch.inference_mode():
            sequence: Tensor = task.interface(features)[0]  # (t, D)
            held = sequence if held is None else torch.cat([held, sequence])
            ready = len(held) - reach
            if ready <= before:
                continue
            yield _decided(task, held)[before:ready]
            kept = max(0, ready - reach)
            held, before = held[kept:], ready - kept
    if held is not None and before < len(held):
        with torch.inference_mode():
            yield _decided(task, held)[before:]


def _decided(task: Detector, sequence: Tensor) -> Floats:
    """(t, D) -> (t, C) probabilities as predictions have them."""
    logits, _ = task.head(sequence[None], torch.tensor([len(sequence)], device=sequence.device))
    return task.written(logits[0])
