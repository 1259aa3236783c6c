"""CKA and RSA against plain formulas on the kernels themselves, from sums and from samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from audiossl.metrics.cka import cka_of_sums, similarities
from audiossl.metrics.moment_sums import PairSums

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 8)) + 3
Y = X @ RNG.normal(size=(8, 5)) + RNG.normal(size=(60, 5))


def hsic(k: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    """Song et al. (2012), equation 5, written out."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    both = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ m).sum()
    return float(both / (n * (n - 3)))


def plain(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / (hsic(k, k) * hsic(m, m)) ** 0.5


def test_unbiased_is_songs_formula() -> None:
    assert cka_of_sums(PairSums.of(X, Y)) == pytest.approx(plain(X, Y), abs=1e-9)
    assert similarities([X, Y], "cka")[0, 1] == pytest.approx(plain(X, Y), abs=1e-9)


def test_biased_is_kornbliths_formula() -> None:
    x, y = X - X.mean(0), Y - Y.mean(0)
    norm = np.linalg.norm
    expected = norm(x.T @ y) ** 2 / (norm(x.T @ x) * norm(y.T @ y))
    assert cka_of_sums(PairSums.of(X, Y), unbiased=False) == pytest.approx(expected)
    assert similarities([X, Y], "cka_biased")[1, 0] == pytest.approx(expected)


def test_few_items_of_many_dimensions_are_alike_to_the_biased_one_alone() -> None:
    a, b = RNG.normal(size=(40, 100)), RNG.normal(size=(40, 100))
    assert cka_of_sums(PairSums.of(a, b), unbiased=False) > 0.5
    assert abs(cka_of_sums(PairSums.of(a, b))) < 0.1


def test_rotation_and_scale_change_nothing() -> None:
    rotated = 7 * X @ np.linalg.qr(RNG.normal(size=(8, 8)))[0] + 4
    assert cka_of_sums(PairSums.of(X, rotated)) == pytest.approx(1.0, abs=1e-9)
    assert cka_of_sums(PairSums.of(X[:3], Y[:3])) != cka_of_sums(PairSums.of(X[:3], Y[:3]))  # NaN of three items


def test_rsa_is_the_rank_correlation_of_distances() -> None:
    expected = spearmanr(pdist(X, "correlation"), pdist(Y, "correlation")).statistic
    assert similarities([X, Y], "rsa")[0, 1] == pytest.approx(expected)
