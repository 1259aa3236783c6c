"""Frames of all queries against the frames of one document, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiossl.metrics.clusters import Floats, Ints
from audiossl.nn.dtw import subsequence_costs

Distance = Literal["cosine", "cosine_exp"]
_MOST_ROWS = 8192  # frames of queries whose distances to a document are in memory at once


class Measure(NamedTuple):
    """How two frames are compared.

    distance: 'cosine' is 1 - cos, 'cosine_exp' is exp(1 - cos) - 1.
    scaled: whether the distances of each frame of a query are brought to 0 at the nearest frame of the document and
        to 1 at the farthest.
    min_frames: queries of fewer are not compared.
    """

    distance: Distance
    scaled: bool
    min_frames: int


class Queries(NamedTuple):
    """Q queries.

    frames: by layer (N, D_l), of unit length, one query after the other.
    starts: (Q + 1,) the first frame of each, and N.
    """

    frames: Mapping[int, Tensor]
    starts: Ints

    @classmethod
    def of(cls, states: Sequence[Mapping[int, Tensor]], layers: Sequence[int]) -> Queries:
        """Of the frames (T, D_l) of each query by layer, as `unit_frames` gives them."""
        counts = [len(each[layers[0]]) for each in states]
        joined = {layer: torch.cat([each[layer] for each in states]) for layer in layers}
        return cls(joined, np.cumsum([0, *counts]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def parts(self) -> Iterator[tuple[int, int]]:
        """(first, last) of consecutive queries that have no more than `_MOST_ROWS` frames together, or are one."""
        first = 0
        for last in range(1, len(self) + 1):
            if last == len(self) or self.starts[last + 1] - self.starts[first] > _MOST_ROWS:
                yield first, last
                first = last


def unit_frames(states: Tensor) -> Tensor:
    """(T, D) of any type -> the same in single precision, each frame of length 1. A frame of zeros stays."""
    return torch.nn.functional.normalize(states.float(), dim=-1)


def score_document(queries: Queries, document: Mapping[int, Tensor], measure: Measure) -> Floats:
    """How near each query comes to any part of a document.

    queries: Q of them.
    document: by layer (T, D_l) as `unit_frames` gives them.
    measure: how frames are compared.
    Returns (L, Q): the mean distance along the best path, times -1. NaN for queries that are too short.
    """
    found = np.full((len(queries.frames), len(queries)), np.nan)
    for row, (layer, frames) in enumerate(queries.frames.items()):
        for first, last in queries.parts():
            starts = queries.starts[first : last + 1]
            distances = _distances(frames[starts[0] : starts[-1]], document[layer], measure)
            found[row, first:last] = -subsequence_costs(distances.cpu().numpy(), starts - starts[0])
    found[:, np.diff(queries.starts) < measure.min_frames] = np.nan
    return found


def _distances(queries: Tensor, document: Tensor, measure: Measure) -> Tensor:
    """(N, T) of frames (N, D) and (T, D)."""
    # In double precision: where one channel is far larger than the others, all distances are near 0, and in single
    # precision mostly rounding, which depends on how many frames are multiplied at once.
    distances = 1 - queries.double() @ document.double().T
    if measure.distance == "cosine_exp":
        distances = distances.expm1()
    if measure.scaled:
        least, most = distances.aminmax(dim=1, keepdim=True)
        distances = (distances - least) / (most - least).clamp(min=1e-9)
    return distances
