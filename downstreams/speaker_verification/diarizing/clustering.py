"""From embeddings of windows to speakers: by eigenvectors of a pruned affinity, or by average linkage.

*Spectral* (Park, Han, Kumar & Narayanan, Auto-tuning spectral clustering for speaker diarization using normalized
maximum eigengap, 2020, arXiv:2003.02405). Each window is joined to those that are most like it, a share of all. The
eigenvalues of the normalised graph are 1 for each part that stands alone, and nearly 1 for each that nearly does, so
that their largest gap tells the number of speakers. Of several shares that is taken whose gap is largest for its size.
The rows of the eigenvectors before the gap are clustered by k-means. Unlike the paper, the Laplacian is normalised.

*Agglomerative*: the two clusters whose windows have the highest mean cosine are merged, down to a threshold.

What either finds is mended. Clusters whose means are nearly one are merged: a voice may have two manners, or rooms. A
cluster whose mean is nearly a sum of two others' is dissolved: in its windows two speak, at once or in turn.

Memory grows with the square of what is clustered at once. Of more windows than that, runs are clustered first by
average linkage, each into its share of the groups. The groups are then clustered by their mean embeddings, all alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans

from audiossl.downstreams.speaker_verification.trials import normalised
from audiossl.metrics.clusters import Floats

Ints = NDArray[np.int64]

_SHARES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
_FEWEST = 6  # windows that a window is joined to, itself included
_DENSE = 200  # windows, up to which all eigenvectors are computed
_MOST_CUTS = 500  # of a tree, in search of one with enough large clusters
_LEAST_WEIGHT = 0.35  # of the smaller part in a sum of two, of the larger
_ROWS = 256  # whose cosines with all others are held at once


class Speakers(NamedTuple):
    """How many there may be: `exactly` so many, else, where that is None, from `fewest` to `most`."""

    exactly: int | None
    fewest: int
    most: int


def spectral(units: Floats, speakers: Speakers) -> Ints:
    """(N,) clusters of unit vectors (N, E), counted from 0."""
    size = len(units)
    fewest, most = (min(speakers.exactly or bound, size) for bound in (speakers.fewest, speakers.most))
    if fewest == size:
        return np.arange(size)
    most = min(most, size - 1)
    best: tuple[float, int, Floats] | None = None
    for num_joined, graph in _graphs(units):
        values, vectors = _largest_eigenvectors(graph, most + 1)
        gaps = (values[:-1] - values[1:])[fewest - 1 :]
        place = int(gaps.argmax())
        # A gap grows with the share by itself: what counts is how large it is for the share.
        cost = num_joined / max(float(gaps[place]), 1e-12)
        if best is None or cost < best[0]:
            best = cost, fewest + place, vectors
    assert best is not None
    _, number, vectors = best
    rows = normalised(vectors[:, :number])
    return np.asarray(KMeans(number, n_init=10, random_state=0).fit_predict(rows), dtype=np.int64)


def agglomerative(units: Floats, threshold: float, speakers: Speakers, least: float) -> Ints:
    """(N,) clusters of unit vectors (N, E), counted from 0.

    units: the vectors.
    threshold: mean cosine from which on two clusters are one.
    speakers: how many there may be. They win over the threshold.
    least: a cluster of fewer windows is no speaker, and its windows go to the nearest that is.
    """
    if len(units) == 1:
        return np.zeros(1, np.int64)
    tree = linkage(_distances(units), "average")
    labels = fcluster(tree, 1 - threshold, "distance")
    found = _num_large(labels, least)
    wanted = speakers.exactly or min(max(found, speakers.fewest), speakers.most)
    if found != wanted:
        # Outliers are clusters of their own: the tree is cut until there are enough that are none.
        cuts = (fcluster(tree, number, "maxclust") for number in range(wanted, wanted + _MOST_CUTS))
        labels = next((cut for cut in cuts if _num_large(cut, least) == wanted), fcluster(tree, wanted, "maxclust"))
        least = least if _num_large(labels, least) == wanted else 1
    names, sizes = np.unique(labels, return_counts=True)
    large = names[sizes >= least] if (sizes >= least).any() else names[[int(sizes.argmax())]]
    centres = np.stack([units[labels == name].mean(axis=0) for name in large])
    own = {int(name): number for number, name in enumerate(large)}
    nearest = (units @ normalised(centres).T).argmax(axis=1)
    return np.array([own.get(int(label), int(near)) for label, near in zip(labels, nearest, strict=True)])


def groups_of(units: Floats, most: int) -> Ints:
    """(N,) at most `most` groups, each of vectors that are near in time and alike. Each its own where they are as few.

    units: (N, E) in the order of time.
    most: groups.
    """
    size = len(units)
    if size <= most:
        return np.arange(size)
    num_runs = -(-size // most)
    groups, before = [], 0
    for run in np.array_split(units, num_runs):
        labels = fcluster(linkage(_distances(run), "average"), max(1, most // num_runs), "maxclust")
        groups.append(labels + (before - 1))
        before += int(labels.max())
    return np.concatenate(groups).astype(np.int64)


def means_of(units: Floats, labels: Ints) -> Floats:
    """(K, E) unit vectors: of each cluster 0 to K - 1 the direction of the mean."""
    sums = np.zeros((int(labels.max()) + 1, units.shape[1]))
    np.add.at(sums, labels, units)
    return normalised(sums)


def merged(units: Floats, labels: Ints, cosine: float, fewest: int) -> Ints:
    """(N,) clusters, counted from 0, of which no two have means that are more alike than `cosine`.

    units: (N, E) vectors of length 1.
    labels: (N,) clusters.
    cosine: from which on two are one, the nearest first.
    fewest: clusters that stay at least.
    """
    while True:
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        means = means_of(units, labels)
        cosines = np.triu(means @ means.T, 1)
        if len(means) <= fewest or cosines.max() < cosine:
            return labels
        first, second = np.unravel_index(int(cosines.argmax()), cosines.shape)
        labels[labels == second] = first


def without_mixtures(units: Floats, labels: Ints, cosine: float, fewest: int) -> Ints:
    """(N,) the nearest of the clusters whose means are not between those of two others.

    units: (N, E) vectors of length 1.
    labels: (N,) clusters, counted from 0.
    cosine: of a mean with the sum of two others that is most like it, from which on it is dissolved, the highest first.
    fewest: clusters that stay at least.
    """
    means = means_of(units, labels)
    while len(means) > max(fewest, 2):
        likeness = _likeness_to_sums(means @ means.T)
        if likeness.max() < cosine:
            break
        means = np.delete(means, likeness.argmax(), axis=0)
    return np.asarray((units @ means.T).argmax(axis=1), dtype=np.int64)


def centres_of(units: Floats, labels: Ints, rounds: int = 3) -> Floats:
    """(K, E) the means of clusters, after each vector has gone to the nearest mean. One that loses all is no more.

    units: (N, E) vectors of length 1.
    labels: (N,) clusters.
    rounds: how often the means are taken.
    """
    for number in range(rounds):
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        centres = means_of(units, labels)
        if number < rounds - 1:
            labels = (units @ centres.T).argmax(axis=1)
    return centres


def _likeness_to_sums(cosines: Floats) -> Floats:
    """(K,) of each unit vector the highest cosine with a sum of two others, neither of which has a small weight.

    The projection of v on the plane of a and b, with x = v a, y = v b and g = a b, has the weights
    (x - g y) / (1 - g^2) and (y - g x) / (1 - g^2), and the squared length (x^2 + y^2 - 2 g x y) / (1 - g^2).

    cosines: (K, K) of all pairs.
    """
    rest = np.maximum(1 - cosines**2, 1e-9)
    made = np.zeros(len(cosines))
    for number, own in enumerate(cosines):
        first = own[:, None] - cosines * own  # weights of a, those of b are the transposed
        fits = np.minimum(first, first.T) >= _LEAST_WEIGHT * np.maximum(np.maximum(first, first.T), 1e-9)
        fits[number], fits[:, number] = False, False
        np.fill_diagonal(fits, False)
        squares = (own[:, None] ** 2 + own**2 - 2 * cosines * np.outer(own, own)) / rest
        made[number] = np.sqrt(squares[fits].max(initial=0.0))
    return made


def _num_large(labels: NDArray[Any], least: float) -> int:
    return int((np.unique(labels, return_counts=True)[1] >= least).sum())


def _distances(units: Floats) -> Floats:
    """(N (N - 1) / 2,) 1 - cosine of all pairs, as scipy orders them."""
    size = len(units)
    made, at = np.empty(size * (size - 1) // 2), 0
    for row in range(size - 1):
        rest = units[row + 1 :]
        np.subtract(1, rest @ units[row], out=made[at : at + len(rest)])
        at += len(rest)
    return np.maximum(made, 0, out=made)


def _graphs(units: Floats) -> Iterator[tuple[int, Any]]:
    """How many each vector is joined to, and the graph (N, N), for each share."""
    size = len(units)
    counts = sorted({min(size, max(_FEWEST, round(share * size))) for share in _SHARES})
    nearest = np.empty((size, counts[-1]), np.int32)
    for first in range(0, size, _ROWS):
        cosines = units[first : first + _ROWS] @ units.T
        kept = np.argpartition(-cosines, counts[-1] - 1, axis=1)[:, : counts[-1]]
        order = np.argsort(-np.take_along_axis(cosines, kept, 1), axis=1, kind="stable")
        nearest[first : first + _ROWS] = np.take_along_axis(kept, order, 1)
    for count in counts:
        starts = np.arange(size + 1) * count
        joined = csr_array((np.ones(size * count), nearest[:, :count].ravel(), starts), shape=(size, size))
        yield count, (joined + joined.T) / 2


def _largest_eigenvectors(graph: Any, number: int) -> tuple[Floats, Floats]:
    """The largest eigenvalues (K,) of a graph whose degrees are normalised, in falling order, and (N, K) vectors."""
    scale = diags_array(1 / np.sqrt(graph.sum(axis=1)))
    # A start that is given makes the result the same every time. A constant one is an eigenvector of regular graphs.
    even, start = scale @ graph @ scale, np.random.default_rng(0).standard_normal(graph.shape[0])
    if len(start) <= _DENSE:
        values, vectors = np.linalg.eigh(even.toarray())
    else:
        values, vectors = eigsh(even, k=number, which="LA", v0=start)
    order = np.argsort(-values)[:number]
    return values[order], vectors[:, order]
