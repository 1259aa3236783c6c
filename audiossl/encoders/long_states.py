"""The hidden states of a long recording, or their mean and deviation over time, chunk by chunk.

What is held is one chunk, and of `long_states` the result. See `audiossl.encoders.long_audio` for what a chunk knows of
the whole. Where the encoder looks no further than a chunk does, as spectral features do, the result is that of the
whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiossl.core.types import Features
from audiossl.encoders.long_audio import encode_long, fitting_chunks
from audiossl.encoders.upstream import Upstream
from audiossl.nn.standardization import StreamingMoments

if TYPE_CHECKING:
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)


def long_states(
    upstream: Upstream, source: Tensor | str | Path | Cut, layers: Sequence[int], *, name: object = ""
) -> Features:
    """Every frame: layers (1, T, D_l), and (1, 0, D_l) for those below the last that are not asked for.

    upstream: in eval mode.
    source: as `encode_long` takes it.
    layers: the numbers of those that are wanted.
    name: of the recording, for the line that says that it is encoded in chunks. '' where the source has it.
    Raises AudioError.
    """
    parts = [[states[layer] for layer in layers] for states in _chunks(upstream, source, max(layers), name)]
    whole = [torch.cat(pieces)[None] for pieces in zip(*parts, strict=True)]
    return _features(upstream, layers, whole)


def long_moments(
    upstream: Upstream,
    source: Tensor | str | Path | Cut,
    layers: Sequence[int],
    *,
    deviation: bool = False,
    name: object = "",
) -> Features:
    """One frame instead of many: the mean over time (1, 1, D_l) of each layer.

    upstream: in eval mode.
    source: as `encode_long` takes it.
    layers: the numbers of those that are wanted.
    deviation: whether the deviation follows the mean, (1, 1, 2 D_l), as `StatisticsPooling` gives them.
    name: of the recording, as in `long_states`.
    Raises AudioError.
    """
    moments, device = [StreamingMoments(upstream.widths[layer]) for layer in layers], torch.device("cpu")
    for states in _chunks(upstream, source, max(layers), name):
        device = states[0].device
        for layer, sums in zip(layers, moments, strict=True):
            sums.add(states[layer])
    return _features(upstream, layers, [_pooled(sums, deviation).to(device)[None, None] for sums in moments])


def _pooled(sums: StreamingMoments, deviation: bool) -> Tensor:
    """(D,) or (2 D,) float32, with the divisor and the floor of `StatisticsPooling`."""
    spread = (sums.scatter / max(sums.count - 1, 1)).clamp(min=1e-10).sqrt()
    return (torch.cat([sums.mean, spread]) if deviation else sums.mean).float()


def _chunks(
    upstream: Upstream, source: Tensor | str | Path | Cut, last: int, name: object
) -> Iterator[tuple[Tensor, ...]]:
    """Layers 0 to `last`, (t, D_l) of each chunk."""
    chunk_s, overlap_s = fitting_chunks(upstream)
    name = name or ("A recording" if isinstance(source, Tensor) else getattr(source, "id", source))
    for first, features in encode_long(upstream, source, chunk_s=chunk_s, overlap_s=overlap_s, up_to_layer=last):
        if first == 0:
            _log.warning("%s is long and encoded in chunks of %g s.", name, chunk_s)
        yield features.item(0)


def _features(upstream: Upstream, layers: Sequence[int], wanted: Sequence[Tensor]) -> Features:
    places = {layer: place for place, layer in enumerate(layers)}
    first = wanted[0]
    empty = [first.new_zeros(1, 0, width) for width in upstream.widths[: max(layers) + 1]]
    made = tuple(wanted[places[n]] if n in places else empty[n] for n in range(max(layers) + 1))
    return Features(made, torch.tensor([first.shape[1]], device=first.device))
