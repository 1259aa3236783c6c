"""Distances between segments, layer by layer, in bounded memory.

mean   1 - cosine of the means over frames.
dtw    the mean of 1 - cosine along the best path of frames (`audiossl.nn.dtw.path_costs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiossl.core.errors import AudioError, LabelError
from audiossl.data.segments import Segment
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.segment_states import Vectors, frames_of
from audiossl.features.states import row_states
from audiossl.metrics.clusters import Floats
from audiossl.nn.dtw import path_costs

if TYPE_CHECKING:
    from lhotse import CutSet

MOST_BYTES = 1 << 30  # of frames that are in memory at once


class SegmentFrames(NamedTuple):
    """The frames of N segments in one layer.

    means: (N, D).
    frames: (M, D) of all, one segment after the other. None where they are not wanted.
    starts: (N + 1,) the first frame of each, and M.
    """

    means: Vectors
    frames: Vectors | None
    starts: np.ndarray


def iter_layers(
    upstream: Upstream,
    cuts: CutSet,
    segments: Sequence[Segment],
    layers: Sequence[int],
    *,
    frames: bool,
    standardize: bool = False,
    cache: CacheConfig | None = None,
    title: str = "Encoding",
) -> Iterator[tuple[int, SegmentFrames]]:
    """Each layer with what it makes of the segments.

    Means of all layers come of one pass over the rows. Frames of as many layers as fit into `MOST_BYTES` are read
    together, and of the others in further passes, from the cache where there is one.

    upstream: the frozen encoder.
    cuts: the rows.
    segments: N of them.
    layers: the numbers of the hidden states.
    frames: whether frames are wanted beside means.
    standardize: whether dimensions are brought to mean 0 and variance 1 over the frames of all segments.
    cache: where hidden states are kept. None for nowhere.
    title: of the progress bar.
    Raises AudioError for states that are not finite, LabelError for segments of rows that are not there.
    """
    for group in _groups(upstream, segments, layers) if frames else filter(None, [list(layers)]):
        found = _gather(upstream, cuts, segments, group, frames, cache, title)
        for layer in group:
            own = found.pop(layer)
            yield layer, _standardized(own) if standardize else own.as_frames()


def mean_distances(means: Vectors) -> Floats:
    """(N, N) 1 - cosine of vectors (N, D)."""
    unit = _unit(means)
    distances: Floats = (1 - unit @ unit.T).astype(np.float64)
    return distances


def path_distances(layer: SegmentFrames) -> Floats:
    """(N, N) by dynamic time warping. Raises ValueError where there are no frames."""
    if layer.frames is None:
        raise ValueError("Paths need the frames of segments.")
    num, unit = len(layer.starts) - 1, _unit(layer.frames)
    first, second = np.triu_indices(num, k=1)
    costs = path_costs(unit, unit, layer.starts, layer.starts, np.stack([first, second], axis=1))
    distances = np.zeros((num, num))
    distances[first, second] = distances[second, first] = costs
    return distances


class _Gathered:
    """What is summed up of the segments of a layer.

    num: of segments.
    keep: whether frames are kept.
    """

    def __init__(self, num: int, width: int, keep: bool) -> None:
        self.means: Vectors = np.zeros((num, width), np.float32)
        self.parts: list[Vectors] | None = [np.zeros((0, width), np.float32)] * num if keep else None
        self.counts = np.zeros(num, np.int64)
        self.total, self.squares = np.zeros(width), np.zeros(width)

    def add(self, place: int, frames: torch.Tensor) -> None:
        """The frames (T, D) of a segment."""
        own = frames.to("cpu", torch.float64).numpy()
        self.means[place], self.counts[place] = own.mean(axis=0), len(own)
        self.total += own.sum(axis=0)
        self.squares += (own**2).sum(axis=0)
        if self.parts is not None:
            self.parts[place] = own.astype(np.float32)

    def as_frames(self) -> SegmentFrames:
        """As they are."""
        joined = None if self.parts is None else np.concatenate(self.parts)
        return SegmentFrames(self.means, joined, np.cumsum([0, *self.counts]).astype(np.int64))


def _standardized(own: _Gathered) -> SegmentFrames:
    """With each dimension at mean 0 and variance 1 over all frames. One that never varies stays at 0."""
    count = own.counts.sum()
    mean = own.total / count
    deviation = np.sqrt(np.maximum(own.squares / count - mean**2, 0.0))
    deviation[deviation < 1e-6] = np.inf
    plain = own.as_frames()
    frames = None if plain.frames is None else ((plain.frames - mean) / deviation).astype(np.float32)
    return plain._replace(means=((plain.means - mean) / deviation).astype(np.float32), frames=frames)


def _groups(upstream: Upstream, segments: Sequence[Segment], layers: Sequence[int]) -> Iterator[list[int]]:
    """Layers whose frames fit into memory together, at least one."""
    num_frames = sum(each.duration_s * upstream.frame_rate_hz + 1 for each in segments)
    group: list[int] = []
    size = 0.0
    for layer in layers:
        own = 4 * num_frames * upstream.widths[layer]
        if group and size + own > MOST_BYTES:
            yield group
            group, size = [], 0.0
        group.append(layer)
        size += own
    if group:
        yield group


def _gather(
    upstream: Upstream,
    cuts: CutSet,
    segments: Sequence[Segment],
    layers: Sequence[int],
    frames: bool,
    cache: CacheConfig | None,
    title: str,
) -> dict[int, _Gathered]:
    """One pass over the rows that have segments."""
    places: dict[str, list[int]] = {}
    for place, each in enumerate(segments):
        places.setdefault(each.recording, []).append(place)
    wanted = cuts.filter(lambda cut: cut.id in places).to_eager()
    if missing := sorted(places.keys() - {str(cut.id) for cut in wanted}):
        raise LabelError(f"Row {missing[0]} has segments and is not in the manifest; take the one that they are of.")
    found = {layer: _Gathered(len(segments), upstream.widths[layer], frames) for layer in layers}
    for cut, states in row_states(upstream, wanted, layers, cache=cache, title=title):
        own = places[str(cut.id)]
        spans = frames_of([segments[place] for place in own], len(states[layers[0]]), upstream)
        for layer, state in states.items():
            for place, first, stop in zip(own, spans.first.tolist(), spans.stop.tolist(), strict=True):
                if not bool(torch.isfinite(state[first:stop]).all()):
                    raise AudioError(
                        f"Layer {layer} of {upstream.display_name} has states of row {cut.id} that are not finite; "
                        f"look at its sound, or use fp32 instead of half precision."
                    )
                found[layer].add(place, state[first:stop])
    return found


def _unit(vectors: Vectors) -> Vectors:
    """Of length 1. A vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit
