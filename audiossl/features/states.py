"""Hidden states of rows, one by one, of several layers: from the cache where that is faster, else from the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiossl.core.tensors import fingerprint
from audiossl.core.terminal import progress
from audiossl.core.types import Batch
from audiossl.data.config import LoaderConfig
from audiossl.data.stream import StreamPlan
from audiossl.encoders.encoding import encode_rows, num_batches
from audiossl.encoders.upstream import Upstream
from audiossl.features.access import cached_batches, open_states
from audiossl.features.config import CacheConfig

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def row_states(
    upstream: Upstream,
    cuts: CutSet,
    layers: Sequence[int],
    *,
    cache: CacheConfig | None = None,
    batch_size: int = 8,
    device: torch.device | str | None = None,
    title: str = "Encoding",
) -> Iterator[tuple[Cut, Mapping[int, Tensor]]]:
    """Each row with its hidden states (T, D_l) by the number of the layer, the longest of many rows first.

    No more than a batch of rows is in memory.

    upstream: the frozen encoder.
    cuts: the rows.
    layers: the numbers of the hidden states.
    cache: where states are read and kept. None for nowhere. Spectral features, which have no parameters, are computed
    faster than they are read, and are not kept.
    batch_size: rows that are encoded at once, where nothing is kept.
    device: where the encoder runs, the best one where it is left out.
    title: of the progress bar.
    Raises ManifestError, AudioError.
    """
    for batch in _batches(upstream.eval(), cuts, layers, cache, LoaderConfig(batch_size=batch_size), device, title):
        assert batch.features is not None
        for index, cut in enumerate(batch.cuts):
            num_frames = int(batch.features.lengths[index])
            yield cut, {layer: batch.features.layers[layer][index, :num_frames] for layer in layers}


def _batches(
    upstream: Upstream,
    cuts: CutSet,
    layers: Sequence[int],
    cache: CacheConfig | None,
    config: LoaderConfig,
    device: torch.device | str | None,
    title: str,
) -> Iterator[Batch]:
    """Rows with their features."""
    legacy = getattr(getattr(upstream, "config", None), "padding", "exact") != "exact"
    if cache is None or legacy or next(upstream.parameters(), None) is None:
        for batch, features in encode_rows(upstream, cuts, config, up_to_layer=max(layers), device=device, title=title):
            yield Batch(batch.wavs, batch.lengths, batch.cuts, batch.position, features)
        return
    source = open_states(upstream, fingerprint(upstream), cache, "frames", layers=layers, device=device)
    try:
        batches = cached_batches(source, cuts, StreamPlan.of(upstream, config))
        yield from progress(batches, title, total=num_batches(cuts, config))
    finally:
        source.close()
