"""How much k-means units of a layer tell of labels: mutual information, as a share of what is to be known of them.

Units are fitted on one half and counted on the other, both ways, with several seeds (Pasad, Chou and Livescu, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from audiossl.metrics.clusters import Floats, Ints
from audiossl.metrics.jackknife import Estimate, mean_of
from audiossl.metrics.moment_sums import View
from audiossl.metrics.units import agreement
from audiossl.nn.kmeans import KMeansConfig, fit_kmeans, nearest_centre

_LEAST_ITEMS = 5  # for each unit


def information(
    vectors: View, labels: Ints, groups: Ints, folds: Ints, num_units: int, seeds: Sequence[int]
) -> Estimate:
    """The mean over seeds and halves of I(label, unit) / H(label), and without each group.

    vectors: (N, D).
    labels: (N,) classes.
    groups: (N,) the group of speakers of each.
    folds: (N,) of which even ones are one half and odd ones the other.
    num_units: K, fewer where a half has fewer than five items for each.
    seeds: of k-means.
    """
    half, num_groups = folds % 2, int(groups.max()) + 1
    x = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    found = []
    for fitted in (0, 1):
        train, test = half == fitted, half != fitted
        num = min(num_units, len(np.unique(vectors[train], axis=0)) // _LEAST_ITEMS)
        for seed in seeds:
            centres = fit_kmeans(x[train], KMeansConfig(clusters=max(num, 2), starts=1, seed=seed)).centres
            units = nearest_centre(x[test], centres).numpy()
            found.append(_estimate(units, labels[test], groups[test], num_groups))
    return mean_of(found)


def _estimate(units: Ints, labels: Ints, groups: Ints, num_groups: int) -> Estimate:
    counts: Floats = np.zeros((num_groups, int(labels.max()) + 1, int(units.max()) + 1))
    np.add.at(counts, (groups, labels, units), 1.0)
    total = counts.sum(0)
    without = [_share(total - own) for own in counts]
    return Estimate(_share(total), np.array(without), "real")


def _share(counts: Floats) -> float:
    return agreement(counts)["pnmi"] if counts.sum() else float("nan")
