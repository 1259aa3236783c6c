"""Centred kernel alignment with linear kernels, and the similarity of dissimilarities, of two views of the same items.

CKA (Kornblith et al., 2019, arXiv:1905.00414) is HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)), where HSIC is |cov(x, y)|^2,
summed over all entries. That is too high for few items in many dimensions: views that share nothing are alike. The
unbiased estimate of HSIC (Song et al., 2012, equation 5) leaves out what an item has in common with itself.

RSA (Kriegeskorte, Mur and Bandettini, 2008) is the rank correlation of the distances of all pairs of items in one view
with those in the other. A distance is one minus the correlation of two items.

Both are had from sums over any number of items (`cka_of_sums`), or from a sample with all pairs of many views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from audiossl.metrics.clusters import Floats
from audiossl.metrics.moment_sums import CrossSums, OwnSums, PairSums, View

FEWEST_ITEMS = 4  # that the unbiased estimate is made of


def cka_of_sums(sums: PairSums, *, unbiased: bool = True) -> float:
    """CKA of two views. NaN where one of them does not vary, or (unbiased) for fewer than four items."""
    of_x, of_y = _with_itself(sums.x), _with_itself(sums.y)
    pairs = (sums, PairSums(sums.x, sums.x, of_x), PairSums(sums.y, sums.y, of_y))
    both, x, y = (_unbiased_hsic(pair) if unbiased else _hsic(pair) for pair in pairs)
    return both / (x * y) ** 0.5 if x > 0 and y > 0 else float("nan")


def centred_kernel(view: View) -> Floats:
    """The products of items (N, D) as (N * N,), centred: the cosine of two of them is CKA."""
    x = np.asarray(view, dtype=np.float64)
    x = x - x.mean(0)
    made: Floats = (x @ x.T).ravel()
    return made


def unbiased_kernel(view: View) -> Floats:
    """As `centred_kernel`, so that the cosine is the unbiased CKA (Szekely and Rizzo, 2014, have this centring)."""
    x = np.asarray(view, dtype=np.float64)
    x = x - x.mean(0)
    kernel, num = x @ x.T, len(x)
    np.fill_diagonal(kernel, 0.0)
    means = kernel.sum(0) / (num - 2)
    kernel -= means[:, None] + means[None, :]
    kernel += means.sum() / (num - 1)
    np.fill_diagonal(kernel, 0.0)
    made: Floats = kernel.ravel()
    return made


def ranked_distances(view: View) -> Floats:
    """Ranks of the distances of all pairs of items (N, D), about their mean: the cosine of two of them is RSA."""
    x = np.asarray(view, dtype=np.float64)
    x = x - x.mean(1, keepdims=True)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)
    distances = 1 - (x @ x.T)[np.triu_indices(len(x), 1)]
    ranks = rankdata(distances)
    made: Floats = ranks - ranks.mean()
    return made


MAPS: dict[str, Callable[[View], Floats]] = {
    "cka": unbiased_kernel,
    "cka_biased": centred_kernel,
    "rsa": ranked_distances,
}


def similarities(views: Sequence[View], measure: str) -> Floats:
    """(V, V) of all pairs of views of the same items, each (N, D_v).

    measure: cka (unbiased), cka_biased or rsa.
    """
    maps = np.stack([MAPS[measure](view) for view in views])
    norms = np.maximum(np.linalg.norm(maps, axis=1), 1e-300)
    made: Floats = (maps @ maps.T) / np.outer(norms, norms)
    return made


def _with_itself(sums: OwnSums) -> CrossSums:
    return CrossSums(sums.second, sums.third, sums.third, sums.fourth)


def _hsic(sums: PairSums) -> float:
    return float((sums.covariance**2).sum())


def _unbiased_hsic(sums: PairSums) -> float:
    """Song's estimate, but for its factor 1 / (n (n - 3)), from sums about the mean.

    With K and L the kernels without their diagonals it is tr(K L) + sum(K) sum(L) / ((n - 1)(n - 2)) - 2 / (n - 2)
    times the sum of all entries of K L. About the mean the sum of x is 0, so that a row of K sums to -|x|^2.
    """
    n = sums.num
    if n < FEWEST_ITEMS:
        return float("nan")
    squares_x, squares_y, fourth = _about_mean(sums)
    product = float(((n * sums.covariance) ** 2).sum()) - fourth
    return product + squares_x * squares_y / ((n - 1) * (n - 2)) - 2 * fourth / (n - 2)


def _about_mean(sums: PairSums) -> tuple[float, float, float]:
    """Sums of |x|^2, of |y|^2 and of |x|^2 |y|^2, of views about their means.

    |x - a|^2 |y - b|^2 is multiplied out: each factor has three terms, of which all nine are sums that are kept.
    """
    n, (x, y, both) = sums.num, sums
    a, b = x.first / n, y.first / n
    of_a, of_b = float(a @ a), float(b @ b)
    total_x, total_y = float(np.trace(x.second)), float(np.trace(y.second))
    fourth = (
        both.fourth
        - 2 * float(b @ both.y_third)
        - 2 * float(a @ both.x_third)
        + 4 * float(a @ both.second @ b)
        + of_b * total_x
        + of_a * total_y
        - 2 * n * of_a * of_b
        - 2 * n * of_a * of_b
        + n * of_a * of_b
    )
    return total_x - n * of_a, total_y - n * of_b, fourth
