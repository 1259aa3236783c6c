"""How far the classes lie apart in a layer: distances between their Gaussians.

A class is the Gaussian of its vectors, with the covariance of Ledoit and Wolf (2004), which is shrunk towards a
multiple of the identity. Vectors are first standardised and brought to at most `MOST_DIMENSIONS` principal components
of all items, so that encoders of different widths can be compared and covariances inverted.

    KL(p, q) = (tr(Sq^-1 Sp) + d' Sq^-1 d - D + ln |Sq| / |Sp|) / 2,  d = mq - mp
    B(p, q)  = d' S^-1 d / 8 + ln(|S| / sqrt(|Sp| |Sq|)) / 2,         S = (Sp + Sq) / 2    (Bhattacharyya, 1943)

KL is taken both ways and averaged. Both are in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.functionals import Functionals, Vectors
from audiossl.analysis.probes import Scaling
from audiossl.core.errors import LabelError
from audiossl.core.types import Metric, metrics_as_json
from audiossl.metrics.classification import classified_clusters
from audiossl.metrics.clusters import Floats
from audiossl.metrics.jackknife import Estimate, metric_of

MOST_DIMENSIONS = 16
_FEWEST = 3  # items of a class whose spread is estimated
_GROUPS = 20  # that are left out in turn


class Gaussian(NamedTuple):
    """mean (D,), covariance (D, D)."""

    mean: Floats
    covariance: Floats


class LayerDistances(NamedTuple):
    """Means over all pairs of classes, with intervals, and the pairs themselves (C, C)."""

    layer: int
    kl: Metric
    bhattacharyya: Metric
    labels: list[str]
    kl_pairs: Floats
    bhattacharyya_pairs: Floats


def kl_divergence(first: Gaussian, second: Gaussian) -> float:
    """KL(first, second) in nats.

    >>> unit = np.eye(1)
    >>> kl_divergence(Gaussian(np.zeros(1), unit), Gaussian(np.ones(1), unit))
    0.5
    """
    apart = second.mean - first.mean
    inverse = np.linalg.inv(second.covariance)
    logs = np.linalg.slogdet(second.covariance)[1] - np.linalg.slogdet(first.covariance)[1]
    trace = np.trace(inverse @ first.covariance)
    return float((trace + apart @ inverse @ apart - len(apart) + logs) / 2)


def bhattacharyya_distance(first: Gaussian, second: Gaussian) -> float:
    """In nats.

    >>> unit = np.eye(1)
    >>> bhattacharyya_distance(Gaussian(np.zeros(1), unit), Gaussian(np.ones(1), unit))
    0.125
    """
    apart, middle = second.mean - first.mean, (first.covariance + second.covariance) / 2
    logs = [np.linalg.slogdet(each)[1] for each in (middle, first.covariance, second.covariance)]
    return float(apart @ np.linalg.solve(middle, apart) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)


def layer_distances(rows: Functionals) -> list[LayerDistances]:
    """Of each layer. Intervals leave out groups of clusters.

    rows: vectors with labels. A class of fewer than three items is an error.
    Raises LabelError.
    """
    labels = sorted(set(rows.labels))
    of = np.array([labels.index(label) for label in rows.labels])
    counts = np.bincount(of)
    if counts.min() < _FEWEST or len(labels) < 2:
        raise LabelError(
            f"Distances need at least two classes of {_FEWEST} items each; {labels[int(counts.argmin())]!r} has "
            f"{counts.min()}."
        )
    return [_layer(layer, vectors, of, labels, rows) for layer, vectors in rows.layers.items()]


def distances_as_json(found: Sequence[LayerDistances]) -> list[dict[str, Any]]:
    """What probes.json says of distances."""
    return [
        {
            "layer": row.layer,
            **metrics_as_json({"kl": row.kl, "bhattacharyya": row.bhattacharyya}),
            "labels": row.labels,
            "kl_pairs": row.kl_pairs.round(6).tolist(),
            "bhattacharyya_pairs": row.bhattacharyya_pairs.round(6).tolist(),
        }
        for row in found
    ]


def _layer(layer: int, vectors: Vectors, of: np.ndarray, labels: list[str], rows: Functionals) -> LayerDistances:
    points = _components(vectors)
    clusters = classified_clusters(rows.labels, rows.clusters)
    merged = clusters.merged(_GROUPS)
    kl, bhattacharyya = _pairs(points, of, len(labels))
    without = np.zeros((merged.num, 2))
    for number in range(merged.num):
        kept = merged.of != number
        # A class that only they have stays: nothing is known of it elsewhere.
        for place in range(len(labels)):
            if (kept & (of == place)).sum() < _FEWEST:
                kept |= of == place
        without[number] = [_mean(each) for each in _pairs(points[kept], of[kept], len(labels))]
    figures = [
        metric_of(Estimate(_mean(pairs), without[:, number], "rate"), clusters)
        for number, pairs in enumerate((kl, bhattacharyya))
    ]
    return LayerDistances(layer, figures[0], figures[1], labels, kl, bhattacharyya)


def _components(vectors: Vectors) -> Floats:
    from sklearn.decomposition import PCA

    scaled = Scaling.of(vectors).scaled(vectors).astype(np.float64)
    count = min(MOST_DIMENSIONS, scaled.shape[1], max(1, len(scaled) - 1))
    made: Floats = PCA(count, svd_solver="full").fit_transform(scaled)
    return made


def _pairs(points: Floats, of: np.ndarray, num_classes: int) -> tuple[Floats, Floats]:
    """(C, C) symmetric KL and Bhattacharyya."""
    from sklearn.covariance import ledoit_wolf

    found = []
    for place in range(num_classes):
        mine = points[of == place]
        spread = ledoit_wolf(mine)[0] + 1e-9 * np.eye(points.shape[1])
        found.append(Gaussian(mine.mean(axis=0), spread))
    kl, bhattacharyya = np.zeros((2, num_classes, num_classes))
    for one in range(num_classes):
        for other in range(one):
            both = kl_divergence(found[one], found[other]) + kl_divergence(found[other], found[one])
            kl[one, other] = kl[other, one] = both / 2
            bhattacharyya[one, other] = bhattacharyya[other, one] = bhattacharyya_distance(found[one], found[other])
    return kl, bhattacharyya


def _mean(pairs: Floats) -> float:
    return float(pairs[np.tril_indices(len(pairs), -1)].mean())
