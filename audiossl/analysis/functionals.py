"""Mean and standard deviation over time of every layer: a recording as one vector a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audiossl.core.errors import LabelError
from audiossl.core.terminal import progress
from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.loader import make_loader
from audiossl.data.stream import LoaderConfig, StreamPlan
from audiossl.encoders.upstream import Upstream
from audiossl.nn.pooling import StatisticsPooling

if TYPE_CHECKING:
    from lhotse import CutSet

Vectors = NDArray[np.float32]


class Functionals(NamedTuple):
    """N recordings, in the order of their ids. layers: vectors (N, 2 D_l) by the number of the layer; groups: what a
    bootstrap draws as a whole."""

    ids: list[str]
    labels: list[str]
    groups: list[str | None]
    layers: dict[int, Vectors]


def functionals_of(
    upstream: Upstream,
    cuts: CutSet,
    layers: Sequence[int],
    *,
    field: str = "label",
    group: str = "recording",
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    what: str = "Encoding",
) -> Functionals:
    """One pass of the encoder over the rows; of the frames nothing is kept but mean and deviation (see
    `StatisticsPooling`), so that padding and batches change nothing. Raises LabelError for a row without the field."""
    loader = make_loader(cuts, StreamPlan.of(upstream, LoaderConfig(batch_size=batch_size)))
    upstream = upstream.to(device).eval()
    poolings = {layer: StatisticsPooling(upstream.widths[layer]) for layer in layers}
    rows: list[tuple[str, str, str | None]] = []
    parts: dict[int, list[Vectors]] = {layer: [] for layer in layers}
    for batch in progress(loader, what, total=-(-len(cuts) // batch_size)):
        for cut in batch.cuts:
            label = read_field(cut, field)
            if label is None:
                raise LabelError(f"Item {cut.id!r} has nothing in the field {field!r}; fill it in, or drop the item.")
            rows.append((cut.id, label, source_of(cut) if group == "recording" else read_field(cut, group)))
        moved = batch.to(device)
        with torch.inference_mode():
            features = upstream(moved.wavs, moved.lengths, up_to_layer=max(layers))
            for layer, pooling in poolings.items():
                pooled = pooling(features.layers[layer].float(), features.lengths)
                parts[layer].append(pooled.cpu().numpy())
    order = sorted(range(len(rows)), key=lambda place: rows[place][0])
    vectors = {layer: np.concatenate(found)[order] for layer, found in parts.items()}
    ids, labels, groups = (list(column) for column in zip(*(rows[place] for place in order), strict=True))
    return Functionals(ids, labels, groups, vectors)  # type: ignore[arg-type]
