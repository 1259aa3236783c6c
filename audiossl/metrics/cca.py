"""Canonical correlations of two views, from sums of their items alone.

CCA finds directions in which two views correlate most. In sample it finds them in noise too, so that directions are
fitted on some items and correlations are measured on others.

    PWCCA  mean of the correlations, weighted by how much of a view each direction accounts for
           (Morcos, Raghu and Bengio, 2018, arXiv:1806.05759). The view is the one with fewer dimensions.
    SVCCA  mean of the correlations of the principal components that hold 99 % of the variance
           (Raghu et al., 2017, arXiv:1706.05806).

As in layer-wise analyses (Pasad, Chou and Livescu, 2021, arXiv:2107.04734) a covariance is divided by its largest
entry, and a ridge is added to it, which other items choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from audiossl.metrics.clusters import Floats
from audiossl.metrics.moment_sums import OwnSums, PairSums

EXPLAINED = 0.99
_NOTHING = 1e-12  # of the largest eigenvalue: no direction


class Canonical(NamedTuple):
    """Fitted directions.

    x: (D, K).
    y: (E, K).
    weights: (K,) of the correlations, which sum to 1.
    """

    x: Floats
    y: Floats
    weights: Floats

    def correlations(self, sums: PairSums) -> Floats:
        """(K,) of items, those of the fit or others. 0 for a direction in which nothing varies."""
        of_x = np.einsum("dk,dk->k", self.x, sums.x.covariance @ self.x)
        of_y = np.einsum("dk,dk->k", self.y, sums.y.covariance @ self.y)
        shared = np.einsum("dk,dk->k", self.x, sums.covariance @ self.y)
        norm = np.sqrt(np.maximum(of_x, 0) * np.maximum(of_y, 0))
        found: Floats = np.divide(shared, norm, out=np.zeros_like(shared), where=norm > 1e-30)
        return found

    def score(self, sums: PairSums) -> float:
        """The weighted mean of the correlations of items."""
        return float(self.weights @ self.correlations(sums))


class Whitened(NamedTuple):
    """Eigenvectors (D, R) and eigenvalues (R,) of a view's covariance by its largest entry, and that entry."""

    vectors: Floats
    values: Floats
    largest: float

    def root(self, ridge: float) -> Floats:
        """(D, R): what makes white of the view, in which the ridge has shrunk what varies little."""
        made: Floats = self.vectors / np.sqrt(self.values + ridge) / np.sqrt(self.largest)
        return made


def fit_pwcca(
    sums: PairSums, ridges: Sequence[float] = (0.0,), views: tuple[Whitened, Whitened] | None = None
) -> list[Canonical]:
    """Directions by each ridge. Views are decomposed once for all.

    sums: of the items of the fit.
    ridges: to add to the covariances, in shares of their largest entry. 0 for none.
    views: as `whiten` decomposes them, where that is done.
    """
    x, y = views or (whiten(sums.x), whiten(sums.y))
    return [_fitted(sums, x.root(ridge), y.root(ridge)) for ridge in ridges]


def fit_svcca(
    sums: PairSums, explained: float = EXPLAINED, views: tuple[Whitened, Whitened] | None = None
) -> Canonical:
    """Directions among the principal components of each view that hold a share of its variance, all of one weight.

    sums: of the items of the fit.
    explained: that share.
    views: as `whiten` decomposes them, where that is done.
    """
    kept = [_principal(view, explained) for view in views or (whiten(sums.x), whiten(sums.y))]
    found = _fitted(sums, kept[0].root(0.0), kept[1].root(0.0))
    return found._replace(weights=np.full_like(found.weights, 1 / max(len(found.weights), 1)))


def whiten(sums: OwnSums) -> Whitened:
    """Decompose the covariance of a view."""
    covariance = sums.covariance
    largest = float(np.abs(covariance).max())
    if largest == 0:
        return Whitened(np.zeros((len(covariance), 0)), np.zeros(0), 1.0)
    values, vectors = linalg.eigh(covariance / largest)
    some = values > _NOTHING * values[-1]
    return Whitened(vectors[:, some], values[some], largest)


def _principal(view: Whitened, explained: float) -> Whitened:
    """The largest directions that hold a share of the variance."""
    shares = np.cumsum(view.values[::-1]) / max(view.values.sum(), 1e-300)
    num = min(int(np.searchsorted(shares, explained - 1e-12)) + 1, len(view.values))
    first = len(view.values) - num
    return view._replace(vectors=view.vectors[:, first:], values=view.values[first:])


def _fitted(sums: PairSums, root_x: Floats, root_y: Floats) -> Canonical:
    """The directions of two views, of which the roots make white."""
    left, _, right = linalg.svd(root_x.T @ sums.covariance @ root_y, full_matrices=False)
    x, y = root_x @ left, root_y @ right.T
    weights = _projection_weights(sums.x, x) if len(x) <= len(y) else _projection_weights(sums.y, y)
    return Canonical(x, y, weights)


def _projection_weights(sums: OwnSums, directions: Floats) -> Floats:
    """(K,) how much of a view's dimensions lies along each direction, made orthogonal as QR does. They sum to 1."""
    if not directions.shape[1]:
        return np.zeros(0)
    projected = sums.covariance @ directions  # (D, K) of each dimension with each direction
    gram = directions.T @ projected
    # QR of the projected items is Cholesky's factor of their products.
    lower = linalg.cholesky(gram + 1e-12 * np.trace(gram) / len(gram) * np.eye(len(gram)), lower=True)
    along = np.abs(linalg.solve_triangular(lower, projected.T, lower=True)).sum(1)
    made: Floats = along / along.sum()
    return made
