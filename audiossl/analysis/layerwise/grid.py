"""Every layer of every encoder with every other, at the same moments of the same recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from audiossl.analysis.layerwise.frame_sums import Frames
from audiossl.metrics.cka import FEWEST_ITEMS, similarities
from audiossl.metrics.clusters import Floats, Ints

GRID_MEASURES = ("cka", "rsa")


class GridPlace(NamedTuple):
    """A row of the grid: a layer of an encoder. mel has the name `mel` and layer 0."""

    encoder: str
    layer: int


class Grid(NamedTuple):
    """Similarities of V places.

    places: V of them.
    values: (V, V) by measure.
    without: (G, V, V) by measure, without the moments of each group.
    num_moments: M.
    """

    places: list[GridPlace]
    values: dict[str, Floats]
    without: dict[str, Floats]
    num_moments: int


def compare_all(frames: Mapping[GridPlace, Frames], groups: Ints, measures: Sequence[str] = GRID_MEASURES) -> Grid:
    """Compare all pairs of layers.

    frames: (M, D) of each, at the same moments.
    groups: (M,) the group of speakers of each moment.
    measures: of cka (unbiased) and rsa.
    """
    places, views = list(frames), list(frames.values())
    num_groups = int(groups.max()) + 1
    values = {measure: similarities(views, measure) for measure in measures}
    without = {measure: np.full((num_groups, len(views), len(views)), np.nan) for measure in measures}
    for group in range(num_groups):
        kept = groups != group
        if kept.sum() >= FEWEST_ITEMS:
            for measure in measures:
                without[measure][group] = similarities([view[kept] for view in views], measure)
    return Grid(places, values, without, len(groups))
