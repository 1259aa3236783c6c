"""Clusters of the windows of an archive, by scikit-learn.

Distances are Euclidean between unit vectors in their first principal components. Dense clusters are HDBSCAN's
(Campello, Moulavi and Sander, 2013), agglomerative ones Ward's.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from audiossl.analysis.archive.config import ClusterOptions
from audiossl.analysis.archive.index import ArchiveIndex
from audiossl.core.errors import ConfigError
from audiossl.metrics.clusters import Floats, Ints

_MOST_LINKED = 20_000  # windows of which all pairs are held
_DEFAULT = 10


class ClusterOfWindows(NamedTuple):
    """Windows that sound alike.

    number: from 1, the largest first. 0 are those that are like few others.
    members: their places in the index, from the middle outwards.
    num_recordings: how many recordings they are of.
    labels: what the manifest says of them, with counts, the most frequent first.
    """

    number: int
    members: list[int]
    num_recordings: int
    labels: list[tuple[str, int]]


class ArchiveClusters(NamedTuple):
    """clusters: from the largest. of: (N,) the number of each window. components: (N, P), in which it was done."""

    clusters: list[ClusterOfWindows]
    of: Ints
    components: Floats


def cluster_index(index: ArchiveIndex, options: ClusterOptions) -> ArchiveClusters:
    """Cluster the windows of an index. Raises ConfigError for too few or too many of them."""
    vectors = index.all_vectors()
    least = max(2, options.smallest if options.method == "density" else options.num_clusters or _DEFAULT)
    if len(vectors) < least:
        raise ConfigError(
            f"{index.folder} has {len(vectors)} window(s), too few for clusters; ask for at least {least}."
        )
    components = _principal(vectors, options.dimensions)
    found = _dense(components, options) if options.method == "density" else _linked(components, options, index)
    # Numbers from 1 by size. Equals stay in the order of their first window.
    sizes = Counter(int(each) for each in found if each >= 0)
    order = sorted(sizes, key=lambda each: (-sizes[each], int(np.argmax(found == each))))
    new = {old: place for place, old in enumerate(order, start=1)}
    of: Ints = np.array([new.get(int(each), 0) for each in found], dtype=np.int64)
    numbers = [*range(1, len(order) + 1), *([0] if (of == 0).any() else [])]
    return ArchiveClusters([_cluster(index, components, of, number) for number in numbers], of, components)


def _principal(vectors: Floats, dimensions: int) -> Floats:
    from sklearn.decomposition import PCA

    count = min(dimensions, *vectors.shape)
    made: Floats = PCA(
        count, svd_solver="full" if min(vectors.shape) < 500 else "randomized", random_state=0
    ).fit_transform(vectors)
    return made


def _dense(components: Floats, options: ClusterOptions) -> Ints:
    from sklearn.cluster import HDBSCAN

    found: Ints = HDBSCAN(min_cluster_size=options.smallest, copy=True).fit_predict(components)
    return found


def _linked(components: Floats, options: ClusterOptions, index: ArchiveIndex) -> Ints:
    from sklearn.cluster import AgglomerativeClustering

    if len(components) > _MOST_LINKED:
        raise ConfigError(
            f"{index.folder} has {len(components)} windows, and agglomerative clusters hold all pairs of at most "
            f"{_MOST_LINKED}; take --method density, or index with a longer hop."
        )
    found: Ints = AgglomerativeClustering(options.num_clusters or _DEFAULT, linkage="ward").fit_predict(components)
    return found


def _cluster(index: ArchiveIndex, components: Floats, of: Ints, number: int) -> ClusterOfWindows:
    places = np.flatnonzero(of == number)
    away = np.linalg.norm(components[places] - components[places].mean(axis=0), axis=1)
    members = places[np.argsort(away, kind="stable")].tolist()
    windows = [index.windows[place] for place in members]
    labels = Counter(window.label for window in windows if window.label)
    return ClusterOfWindows(number, members, len({each.recording for each in windows}), labels.most_common())
