"""One vector a window, by way of the feature cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from audiossl.core.errors import ConfigError
from audiossl.data.config import LoaderConfig
from audiossl.data.stream import StreamPlan
from audiossl.encoders.kept import Identified
from audiossl.encoders.layers import parse_layers
from audiossl.features.access import cached_batches, open_source
from audiossl.features.config import CacheConfig, Form
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse import CutSet

FORMS: dict[str, Form] = {"mean": "pooled", "statistics": "statistics"}


def one_layer(text: str, num_layers: int) -> int:
    """The number of the one layer that is meant. Raises ConfigError."""
    found = parse_layers(text, num_layers, option="--layer")
    if len(found) != 1:
        raise ConfigError(f"--layer {text}: an index is of one layer; name a number, or last.")
    return found[0]


def window_vectors(encoder: Identified, cuts: CutSet, layer: int, pool: str, cache: CacheConfig) -> Floats:
    """Vectors (N, D) of rows, in their order. The encoder runs for what the cache lacks.

    encoder: a frozen one.
    cuts: the rows, with ids of their own.
    layer: the one that is read.
    pool: mean, or statistics for mean and deviation (N, 2 D).
    cache: where vectors are kept.
    Raises AudioError for a recording that cannot be read, which it names.
    """
    source = open_source(encoder.upstream, encoder.fingerprint, cache, FORMS[pool], layers=[layer])
    rows = list(cuts)
    place = {cut.id: number for number, cut in enumerate(rows)}
    made: Floats = np.zeros((len(rows), source.widths[layer]))
    try:
        source.extract(rows, total_s=source.survey(rows).missing_s)
        for batch in cached_batches(source, cuts, StreamPlan.of(encoder.upstream, LoaderConfig(batch_size=16))):
            assert batch.features is not None
            made[[place[cut.id] for cut in batch.cuts]] = batch.features.layers[layer][:, 0].double().numpy()
    finally:
        source.store.close()
    return made


def unit(vectors: Floats) -> Floats:
    """(N, D) of length one. A vector of zeros stays."""
    made: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return made


def repeated(names: Sequence[str]) -> str:
    """The first name that is there twice, '' where there is none."""
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), "")  # type: ignore[func-returns-value]
