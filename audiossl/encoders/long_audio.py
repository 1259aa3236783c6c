"""Recordings of any length in bounded memory: read block by block, encoded chunk by chunk.

    for first_frame, features in encode_long(upstream, "meeting.flac", chunk_s=30, overlap_s=5):
        ...  # frames first_frame, first_frame + 1, ... of the recording, each frame once, in order

Chunks begin at multiples of the stride: frame j of a chunk from frame a on is frame a + j of the recording. Neighbours
share `overlap_s`. Of what they share, each keeps the half that is further from its cut end. A kept frame thus has at
least half of the overlap before and after it (or the recording's own end).

What depends on the whole recording, the normalisation of the waveform and the GroupNorm of base-style stems, is
computed from all of it in a first pass (`Upstream.statistics`). The stem is therefore exact everywhere, and so are the
position convolutions if half of the overlap is more than their reach (1.28 s for the usual 128 taps). What remains is
attention, which sees a chunk and not the whole. Encoders without `statistics` (spectral features that are normalised
over the utterance, TERA, those of transformers) normalise each chunk by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.types import Features
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import audio_facts, cut_blocks, num_samples_held, path_of, read_cut
from audiossl.encoders.devices import device_of
from audiossl.encoders.layers import last_layer
from audiossl.encoders.row_upstream import RowUpstream
from audiossl.encoders.upstream import Upstream

if TYPE_CHECKING:
    from lhotse.cut import Cut


_BLOCK_S = 30.0
# Memory grows with the length of what is encoded at once, with its square where attention is not computed in parts.
LONGEST_WHOLE_S = 600.0


class Chunk(NamedTuple):
    """Frames start to stop are computed, frames first to last are kept (ends excluded)."""

    start: int
    stop: int
    first: int
    last: int


class Recording(NamedTuple):
    """Its length, and a way to read it from the beginning, block by block, as often as needed."""

    num_samples: int
    blocks: Callable[[], Iterator[Tensor]]


def encode_long(
    upstream: Upstream,
    source: Tensor | str | Path | Cut,
    *,
    chunk_s: float = 30.0,
    overlap_s: float = 5.0,
    up_to_layer: int | None = None,
) -> Iterator[tuple[int, Features]]:
    """(number of its first frame, `Features` with B = 1) of each chunk of a recording, without the shared frames.

    All chunks together have `upstream.num_frames(S)` frames. A recording that one chunk holds gives exactly what
    `upstream` gives.

    upstream: in eval mode. The states are where it is.
    source: samples (S,) at `upstream.sample_rate_hz`, a sound file or a row of a manifest. The latter two are read and
    resampled block by block, twice where statistics of the whole are needed.
    chunk_s: seconds in a chunk.
    overlap_s: seconds that neighbouring chunks share.
    up_to_layer: the last layer that is needed, all of them where it is left out.
    Raises ConfigError for lengths that make no chunks and for an unknown layer, AudioError for a recording too short
    for one frame.
    """
    size, shared = chunk_frames(upstream, chunk_s, overlap_s)
    if upstream.training:
        raise ConfigError("Chunks are for frozen encoders; call upstream.eval() first.")
    last = last_layer(up_to_layer, upstream.num_layers)
    recording = recording_of(source, upstream.sample_rate_hz)
    if recording.num_samples < upstream.min_samples:
        raise AudioError(
            f"The recording has {recording.num_samples} samples; this upstream needs at least {upstream.min_samples} "
            f"({1000 * upstream.min_samples / upstream.sample_rate_hz:g} ms) for one frame."
        )
    return _encode(upstream, recording, size, shared, last)


def chunk_frames(upstream: Upstream, chunk_s: float, overlap_s: float) -> tuple[int, int]:
    """Frames in a chunk, and (an even number of) frames that neighbours share. Raises ConfigError."""
    size = int(chunk_s * upstream.frame_rate_hz)
    shared = 2 * math.ceil(overlap_s * upstream.frame_rate_hz / 2)
    if not 0 <= shared < size or size * upstream.stride < upstream.min_samples:
        raise ConfigError(
            f"chunk_s={chunk_s:g}, overlap_s={overlap_s:g}: a chunk must be longer than the overlap and hold a frame; "
            f"take chunk_s=30 and overlap_s=5, for instance."
        )
    if upstream.max_samples is not None and _samples_of(upstream, size) > upstream.max_samples:
        raise ConfigError(
            f"chunk_s={chunk_s:g}: {upstream.display_name} reads at most "
            f"{upstream.max_samples / upstream.sample_rate_hz:g} s; take chunk_s={fitting_chunks(upstream)[0]:g}."
        )
    return size, shared


def _samples_of(upstream: Upstream, num_frames: int) -> int:
    """A length with exactly so many frames. What it has beyond the last frame's samples is of no consequence."""
    enough = (2 * num_frames - upstream.num_frames(num_frames * upstream.stride)) * upstream.stride
    # Where a last window may be partly empty, fewer samples than it has room for would cut it.
    whole = (num_frames - 1) * upstream.stride + upstream.receptive_field
    return max(enough, whole) if upstream.num_frames(whole) == num_frames else enough


def longest_whole_s(upstream: Upstream) -> float:
    """Seconds up to which a recording is encoded whole where nobody has said how: a limit of memory, or its own."""
    if isinstance(upstream, RowUpstream):
        return math.inf  # it hears nothing
    most = upstream.max_samples
    return LONGEST_WHOLE_S if most is None else min(LONGEST_WHOLE_S, most / upstream.sample_rate_hz)


def fitting_chunks(upstream: Upstream) -> tuple[float, float]:
    """`chunk_s` and `overlap_s` where nobody has said how: 30 s and 5 s, what it can read, or a few windows."""
    most = upstream.max_samples
    if most is None:
        window_s = upstream.receptive_field / upstream.sample_rate_hz
        return max(30.0, 8 * window_s), max(5.0, window_s)
    size = upstream.num_frames(most)
    while _samples_of(upstream, size) > most:
        size -= 1
    chunk_s = min(30.0, size / upstream.frame_rate_hz)
    return chunk_s, min(5.0, chunk_s / 6)


def plan(num_frames: int, size: int, shared: int) -> Iterator[Chunk]:
    """Chunks of `size` frames, of which neighbours share at least `shared`. The last one ends with the recording.

    >>> [tuple(chunk) for chunk in plan(10, 6, 2)]
    [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    first = start = 0
    while True:
        # The last chunk is as long as the others: it begins earlier than it would have to.
        start = max(0, min(start, num_frames - size))
        stop = min(start + size, num_frames)
        last = num_frames if stop == num_frames else stop - shared // 2
        yield Chunk(start, stop, first, last)
        if stop == num_frames:
            return
        first, start = last, start + size - shared


def recording_of(source: Tensor | str | Path | Cut, sample_rate_hz: int) -> Recording:
    """Length and blocks of a recording at a rate. Raises AudioError."""
    if isinstance(source, str | Path):
        audio_facts(source)  # an error of one sentence for what is no sound file
        (source,) = cuts_of([str(source)])
    if not isinstance(source, Tensor):
        cut = source
        if path_of(cut) is not None:
            count = num_samples_held(cut, sample_rate_hz)
            return Recording(count, lambda: map(torch.from_numpy, cut_blocks(cut, sample_rate_hz, _BLOCK_S)))
        source = torch.from_numpy(read_cut(cut, sample_rate_hz))  # what lhotse puts together, it does at once
    if source.ndim != 1 or not source.is_floating_point():
        raise ValueError(f"A recording must be a float tensor (S,), not {tuple(source.shape)} {source.dtype}.")
    whole = source
    return Recording(len(whole), lambda: iter(whole.split(round(_BLOCK_S * sample_rate_hz))))


def _encode(
    upstream: Upstream, recording: Recording, size: int, shared: int, last: int
) -> Iterator[tuple[int, Features]]:
    frames, device = upstream.num_frames(recording.num_samples), device_of(upstream)
    statistics = upstream.statistics(recording.blocks()) if frames > size else ()
    window = MovingWindow(recording.blocks(), "sample")
    enough = _samples_of(upstream, size)
    for chunk in plan(frames, size, shared):
        begin = chunk.start * upstream.stride
        end = recording.num_samples if chunk.stop == frames else begin + enough
        wav = window.part(begin, end).to(device)
        with torch.inference_mode():
            states = upstream.encode_even(wav[None], last, statistics)
            kept = tuple(state[:, chunk.first - chunk.start : chunk.last - chunk.start] for state in states)
            lengths = torch.tensor([chunk.last - chunk.first], device=device)
        yield chunk.first, Features(kept, lengths)


class MovingWindow:
    """A stream that comes in parts, from one place on, moved forward.

    parts: tensors (n, ...) that follow each other.
    unit: what one element is, for the error.
    """

    def __init__(self, parts: Iterator[Tensor], unit: str) -> None:
        self.parts, self.unit = parts, unit
        self.begin = self.end = 0  # of what is held
        self.held: list[Tensor] = []

    def part(self, begin: int, end: int) -> Tensor:
        """Elements begin to end. What lies before `begin` is forgotten. Raises AudioError where the stream ends."""
        while self.end < end:
            part = next(self.parts, None)
            if part is None:
                raise AudioError(
                    f"The recording ends at {self.unit} {self.end} of {end}; it changed while it was read."
                )
            self.held.append(part)
            self.end += len(part)
        kept = torch.cat(self.held)[begin - self.begin :]
        self.begin, self.held = begin, [kept]
        return kept[: end - begin]
