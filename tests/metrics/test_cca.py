"""CCA against its definition: affine maps change nothing, chance is not there on other items, public codes agree."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import inv, sqrtm
from sklearn.cross_decomposition import CCA

from audiossl.metrics.cca import fit_pwcca, fit_svcca
from audiossl.metrics.moment_sums import PairSums

RNG = np.random.default_rng(1)
X = RNG.normal(size=(200, 12))
Y = X @ RNG.normal(size=(12, 7)) + RNG.normal(size=(200, 7))


def plain_pwcca(x: NDArray[np.float64], y: NDArray[np.float64], ridge: float = 0.0) -> float:
    """Morcos, Raghu and Bengio's formula on the items themselves: roots of matrices, and QR of projections."""
    x, y = x - x.mean(0), y - y.mean(0)
    of_x, of_y, both = x.T @ x / len(x), y.T @ y / len(x), x.T @ y / len(x)
    a, b = np.abs(of_x).max(), np.abs(of_y).max()
    roots = [np.real(sqrtm(inv(c / s + ridge * np.eye(len(c))))) for c, s in ((of_x, a), (of_y, b))]
    left, _, right = np.linalg.svd(roots[0] @ both @ roots[1], full_matrices=False)
    projected = [x @ roots[0] @ left, y @ roots[1] @ right.T]
    found = [np.corrcoef(p, q)[0, 1] for p, q in zip(projected[0].T, projected[1].T, strict=True)]
    small, view = (projected[0], x) if x.shape[1] <= y.shape[1] else (projected[1], y)
    weights = np.abs(np.linalg.qr(small)[0].T @ view).sum(1)
    return float(weights / weights.sum() @ found)


@pytest.mark.parametrize("ridge", [0.0, 1e-4, 0.1])
def test_pwcca_is_the_plain_formula(ridge: float) -> None:
    for first, second in ((X, Y), (Y, X)):
        sums = PairSums.of(first, second)
        assert fit_pwcca(sums, [ridge])[0].score(sums) == pytest.approx(plain_pwcca(first, second, ridge), abs=1e-9)


def test_correlations_are_those_of_scikit_learn() -> None:
    made = CCA(7, max_iter=5000, tol=1e-10, scale=False).fit_transform(X, Y)
    expected = [np.corrcoef(one, other)[0, 1] for one, other in zip(made[0].T, made[1].T, strict=True)]
    sums = PairSums.of(X, Y)
    assert fit_pwcca(sums)[0].correlations(sums) == pytest.approx(expected, abs=1e-6)


def test_a_linear_map_of_a_view_is_the_same_view() -> None:
    mapped = 5 * X @ RNG.normal(size=(12, 12)) - 2
    sums = PairSums.of(X, mapped)
    assert fit_pwcca(sums)[0].score(sums) == pytest.approx(1.0, abs=1e-9)
    assert fit_svcca(sums, explained=1.0).score(sums) == pytest.approx(1.0, abs=1e-9)


def test_chance_is_found_where_directions_were_fitted_and_not_elsewhere() -> None:
    a, b = RNG.normal(size=(600, 60)), RNG.normal(size=(600, 60))
    fitted, others = PairSums.of(a[:200], b[:200]), PairSums.of(a[200:], b[200:])
    for found in (fit_pwcca(fitted)[0], fit_svcca(fitted)):
        assert found.score(fitted) > 0.4
        assert abs(found.score(others)) < 0.1


def test_svcca_reads_the_largest_components_alone() -> None:
    shared = RNG.normal(size=(300, 1))
    x = np.hstack([10 * shared, 0.01 * RNG.normal(size=(300, 3))])
    y = np.hstack([10 * shared, 0.01 * RNG.normal(size=(300, 3))])
    sums = PairSums.of(x, y)
    assert fit_svcca(sums).x.shape == (4, 1)
    assert fit_svcca(sums).score(sums) == pytest.approx(1.0, abs=1e-6)


def test_what_does_not_vary_shares_nothing() -> None:
    sums = PairSums.of(X, np.ones((200, 3)))
    assert fit_pwcca(sums)[0].score(sums) == 0.0
