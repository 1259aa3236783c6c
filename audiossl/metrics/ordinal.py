"""How near predicted levels are to true ones: quadratically weighted kappa and the mean distance in levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate


def ordinal_estimates(targets: Sequence[int], predicted: Sequence[int], clusters: Clusters) -> dict[str, Estimate]:
    """`qwk` and `mae`, with what each of them is without each cluster.

    qwk: Cohen's kappa with quadratic weights (1968), 1 - mean (y - x)^2 / what it would be if both were independent.
        It is 0 where all targets and all predictions are one level, as it tells nothing there.
    mae: mean |y - x|, in levels.
    targets, predicted: (N,) levels from 0.
    clusters: of the items.
    Raises ValueError for no items, or another number of predictions.
    """
    y, x = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1 or not len(y):
        raise ValueError(f"{x.shape} predictions for {y.shape} targets; there must be one for each, and at least one.")
    values = np.stack([np.ones_like(y), y, x, y * y, x * x, (y - x) ** 2, np.abs(y - x)], axis=1)
    sums = np.concatenate([values.sum(axis=0)[None], values.sum(axis=0) - clusters.sums(values)])
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_y, mean_x, mean_yy, mean_xx, apart, distance = (sums[:, 1:] / sums[:, :1]).T
        # E (Y - X)^2 of independent Y and X with these margins.
        chance = mean_yy + mean_xx - 2 * mean_y * mean_x
        kappa = np.where(chance > 1e-9, 1 - apart / chance, 0.0)
    nothing = sums[:, 0] < 0.5
    kappa, distance = (np.where(nothing, np.nan, each) for each in (kappa, distance))
    return {
        "qwk": Estimate(float(kappa[0]), kappa[1:]),
        "mae": Estimate(float(distance[0]), distance[1:], "rate"),
    }
