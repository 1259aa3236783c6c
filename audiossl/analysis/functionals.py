"""Mean and standard deviation over time of every layer: a recording as one vector a layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiossl.core.errors import LabelError
from audiossl.core.terminal import progress
from audiossl.core.types import Batch
from audiossl.data.config import LoaderConfig
from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.stream import StreamPlan
from audiossl.encoders.encoding import encode_rows, num_batches
from audiossl.encoders.upstream import Upstream
from audiossl.features.access import cached_batches
from audiossl.features.source import FeatureSource
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.nn.pooling import statistics_of

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

Vectors = NDArray[np.float32]


class Functionals(NamedTuple):
    """Vectors of N recordings, in the order of their ids.

    clusters: what varies as a whole.
    layers: vectors (N, 2 D_l) by the number of the layer.
    """

    ids: list[str]
    labels: list[str]
    clusters: Clusters
    layers: dict[int, Vectors]

    def means(self) -> Functionals:
        """Without the deviations: vectors (N, D_l)."""
        halves = {layer: vectors[:, : vectors.shape[1] // 2] for layer, vectors in self.layers.items()}
        return self._replace(layers=halves)


def functionals_of(
    encoder: Upstream | FeatureSource,
    cuts: CutSet,
    layers: Sequence[int],
    *,
    field: str = "label",
    group: str = "recording",
    batch_size: int = 16,
    device: torch.device | str | None = None,
    title: str = "Encoding",
) -> Functionals:
    """Means and deviations of rows (see `StatisticsPooling`), so that padding and batches change nothing.

    encoder: an upstream, which runs once over the rows and of whose frames nothing is stored. Or a source in the form
    'statistics', which reads what the cache has and runs its encoder for the rest alone.
    cuts: the rows.
    layers: the numbers of those that are read.
    field: of the rows, with the labels.
    group: the field that says what varies as a whole, 'recording' for the file that a row is a part of.
    batch_size: rows that are encoded at once.
    device: where the encoder runs, the best one where it is left out. A source knows its own.
    title: of the progress bar.
    Raises LabelError for a row without one of the fields, ManifestError, AudioError.
    """
    config = LoaderConfig(batch_size=batch_size)
    if isinstance(encoder, FeatureSource):
        batches = _read(encoder, cuts, layers, config, title)
    else:
        batches = _encode(encoder.eval(), cuts, layers, config, device, title)
    return collected(((batch.cuts, pooled) for batch, pooled in batches), layers, field=field, group=group)


def collected(
    batches: Iterable[tuple[Sequence[Cut], Sequence[Tensor]]],
    layers: Sequence[int],
    *,
    field: str = "label",
    group: str = "recording",
) -> Functionals:
    """What is known of rows, in the order of their ids, and their vectors.

    batches: rows in any order, with vectors (B, V_l) of each layer.
    layers: the numbers of those.
    field, group: as `functionals_of` reads them.
    Raises LabelError for a row without one of the fields.
    """
    rows: list[tuple[str, str, str | None]] = []
    parts: dict[int, list[Vectors]] = {layer: [] for layer in layers}
    for cuts, pooled in batches:
        for cut in cuts:
            label = read_field(cut, field)
            if label is None:
                raise LabelError(f"Item {cut.id!r} has nothing in the field {field!r}; fill it in, or drop the item.")
            drawn = source_of(cut) if group == "recording" else read_field(cut, group)
            if drawn is None:
                raise LabelError(
                    f"Item {cut.id!r} has nothing in the field {group!r}, by which intervals are drawn; fill it in, or "
                    f"take another --group."
                )
            rows.append((cut.id, label, drawn))
        for layer, vectors in zip(layers, pooled, strict=True):
            parts[layer].append(vectors.cpu().numpy())
    # Batches bring the longest first. Sorted by id, the rows are the same whatever the batches were.
    order = sorted(range(len(rows)), key=lambda place: rows[place][0])
    stacked = {layer: np.concatenate(found)[order] for layer, found in parts.items()}
    ids, labels, groups = zip(*(rows[place] for place in order), strict=True)
    return Functionals(list(ids), list(labels), clusters_of(groups, len(ids), group, ids), stacked)


def _encode(
    upstream: Upstream,
    cuts: CutSet,
    layers: Sequence[int],
    config: LoaderConfig,
    device: torch.device | str | None,
    title: str,
) -> Iterator[tuple[Batch, list[Tensor]]]:
    """(B, 2 D_l) of each layer, batch by batch."""
    for batch, features in encode_rows(upstream, cuts, config, up_to_layer=max(layers), device=device, title=title):
        yield batch, [statistics_of(features.layers[layer], features.lengths) for layer in layers]


def _read(
    source: FeatureSource, cuts: CutSet, layers: Sequence[int], config: LoaderConfig, title: str
) -> Iterator[tuple[Batch, list[Tensor]]]:
    """As `_encode`, in the same batches, from the cache."""
    batches = cached_batches(source, cuts, StreamPlan.of(source.upstream, config))
    for batch in progress(batches, title, total=num_batches(cuts, config)):
        assert batch.features is not None
        yield batch, [batch.features.layers[layer][:, 0] for layer in layers]
