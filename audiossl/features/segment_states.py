"""Segments as vectors: the hidden states of a phone, a word or a call, pooled, of any layers, in one pass.

An encoder hears whole rows, so that a segment's states know what is around it. A frame is in a segment where its centre
is (see `audiossl.data.frame_labels.first_centre_s`): start_s <= centre < end_s.

mean     the mean over the frames in the segment.
centre   the frame whose centre is nearest to the middle of the segment.

A segment in which no frame has its centre is shorter than a frame. It has the frame whose centre is nearest to its
middle, and is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audiossl.core.errors import AudioError, LabelError
from audiossl.data.frame_labels import HasFrames, first_centre_s
from audiossl.data.segments import Segment, by_recording
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.states import row_states

if TYPE_CHECKING:
    from lhotse import CutSet

Pooling = Literal["mean", "centre"]
Vectors = NDArray[np.float32]

_log = logging.getLogger(__name__)
_NEARLY = 1e-6  # of a frame


class FrameSpans(NamedTuple):
    """Which frames N segments have.

    first, stop: (N,) frames first to stop - 1, at least one.
    is_short: (N,) whether no frame has its centre in the segment.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    is_short: NDArray[np.bool_]


class SegmentStates(NamedTuple):
    """Segments and what an encoder makes of them.

    segments: N of them.
    layers: (N, D_l) float32 by the number of the layer.
    num_short: how many are shorter than a frame.
    """

    segments: list[Segment]
    layers: dict[int, Vectors]
    num_short: int


def segment_states(
    upstream: Upstream,
    cuts: CutSet,
    segments: Sequence[Segment],
    layers: Sequence[int],
    *,
    pooling: Pooling = "mean",
    cache: CacheConfig | None = None,
    title: str = "Encoding",
) -> SegmentStates:
    """The vectors of all segments, in their order. One line of the log says how many are shorter than a frame.

        encoder = load_identified("tera_mini", {}).upstream
        cuts = read_manifest("dev.jsonl.gz")
        segments = read_segments(cuts, "phones.ctm", ignored=["sil"])
        found = segment_states(encoder, cuts, segments, parse_layers("all", encoder.num_layers), cache=CacheConfig())
        found.layers[0]  # (N, D_0)

    Memory is that of the vectors and of a batch of rows. `iter_segment_states` needs the batch alone.

    upstream: the frozen encoder.
    cuts: the rows. Those without a segment are not encoded.
    segments: as `read_segments` gives them.
    layers: the numbers of the hidden states.
    pooling: 'mean' or 'centre'.
    cache: where hidden states of whole rows are read and kept, so that the encoder runs once. None for nowhere.
    title: of the progress bar.
    Raises LabelError for no segment, or one of a row that is not there, AudioError for states that are not finite.
    """
    if not segments:
        raise LabelError("There is no segment to take hidden states of; give an alignment that has some.")
    # Rows come in the order of the encoder's batches, and vectors lie where their segments do.
    found = {layer: np.empty((len(segments), upstream.widths[layer]), np.float32) for layer in layers}
    num_short = 0
    for part in iter_segment_states(upstream, cuts, segments, layers, pooling=pooling, cache=cache, title=title):
        num_short += part.num_short
        for layer, vectors in part.layers.items():
            found[layer][part.places] = vectors
    if num_short:
        _log.warning(
            "%d of %d segments are shorter than a frame (%.0f ms): each has the frame nearest to its middle.",
            num_short, len(segments), 1000 / upstream.frame_rate_hz,
        )  # fmt: skip
    return SegmentStates(list(segments), found, num_short)


class RowSegments(NamedTuple):
    """The segments of one row.

    places: (n,) where they are among all segments.
    layers: (n, D_l) by the number of the layer.
    num_short: how many are shorter than a frame.
    """

    places: NDArray[np.int64]
    layers: dict[int, Vectors]
    num_short: int


def iter_segment_states(
    upstream: Upstream,
    cuts: CutSet,
    segments: Sequence[Segment],
    layers: Sequence[int],
    *,
    pooling: Pooling = "mean",
    cache: CacheConfig | None = None,
    title: str = "Encoding",
) -> Iterator[RowSegments]:
    """As `segment_states`, row by row, for sums in bounded memory.

    upstream, cuts, segments, layers, pooling, cache, title: as there.
    """
    rows = {name: [] for name, _ in by_recording(segments)}  # type: dict[str, list[int]]
    for place, each in enumerate(segments):
        rows[each.recording].append(place)
    wanted = cuts.filter(lambda cut: cut.id in rows).to_eager()
    if missing := sorted(rows.keys() - {str(cut.id) for cut in wanted}):
        raise LabelError(
            f"{len(missing)} row(s) with segments are not in the manifest, {missing[0]} for instance; take the "
            f"manifest that the segments are of."
        )
    for cut, states in row_states(upstream, wanted, layers, cache=cache, title=title):
        places = rows[cut.id]
        spans = frames_of([segments[place] for place in places], len(states[layers[0]]), upstream, pooling)
        pooled = {layer: pool_spans(state, spans) for layer, state in states.items()}
        for layer, vectors in pooled.items():
            if not np.isfinite(vectors).all():
                raise AudioError(
                    f"Layer {layer} of {upstream.display_name} has states of row {cut.id} that are not finite; look at "
                    f"its sound, or use fp32 instead of half precision."
                )
        yield RowSegments(np.array(places), pooled, int(spans.is_short.sum()))


def frames_of(
    segments: Sequence[Segment], num_frames: int, encoder: HasFrames, pooling: Pooling = "mean"
) -> FrameSpans:
    """The frames of the segments of one row.

    segments: N of them.
    num_frames: T of the row.
    encoder: whose frames they are.
    pooling: 'mean' or 'centre'.
    Raises ValueError for another pooling.
    """
    if pooling not in ("mean", "centre"):
        raise ValueError(f"pooling={pooling!r}: choose mean or centre.")
    starts_s, ends_s = (np.array([getattr(each, name) for each in segments]) for name in ("start_s", "end_s"))
    rate_hz, zero_s = encoder.sample_rate_hz / encoder.stride, first_centre_s(encoder)
    # Frame j has its centre at zero_s + j / rate_hz.
    first, stop = (np.ceil((times_s - zero_s) * rate_hz - _NEARLY).astype(np.int64) for times_s in (starts_s, ends_s))
    first, stop = first.clip(0, num_frames), stop.clip(0, num_frames)
    nearest = np.floor(((starts_s + ends_s) / 2 - zero_s) * rate_hz + 0.5).astype(np.int64).clip(0, num_frames - 1)
    is_short = stop <= first
    alone = is_short if pooling == "mean" else np.ones_like(is_short)
    return FrameSpans(np.where(alone, nearest, first), np.where(alone, nearest + 1, stop), is_short)


def pool_spans(states: torch.Tensor, spans: FrameSpans) -> Vectors:
    """(T, D) -> (N, D): the mean of the frames of each span, by differences of running sums in double precision."""
    frames = states.detach().to("cpu", torch.float64)
    sums = torch.cat([frames.new_zeros(1, frames.shape[1]), frames.cumsum(dim=0)]).numpy()
    sizes = (spans.stop - spans.first)[:, None]
    pooled: Vectors = ((sums[spans.stop] - sums[spans.first]) / sizes).astype(np.float32)
    return pooled
