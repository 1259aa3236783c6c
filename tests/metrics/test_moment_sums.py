"""Sums of parts are those of the whole, and give its covariances."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.metrics.moment_sums import OwnSums, PairSums

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)) + 3, RNG.normal(size=(50, 3))


def test_parts_add_up_and_are_taken_away() -> None:
    first, second, whole = PairSums.of(X[:20], Y[:20]), PairSums.of(X[20:], Y[20:]), PairSums.of(X, Y)
    joined, left = first.plus(second), whole.plus(second, -1.0)
    for made, expected in ((joined, whole), (left, first)):
        for part in ("x", "y", "both"):
            for one, other in zip(getattr(made, part), getattr(expected, part), strict=True):
                assert np.allclose(one, other)


def test_covariances_are_numpys() -> None:
    both = np.cov(X.T, Y.T, bias=True)
    sums = PairSums.of(X, Y)
    assert np.allclose(sums.x.covariance, both[:4, :4])
    assert np.allclose(sums.y.covariance, both[4:, 4:])
    assert np.allclose(sums.covariance, both[:4, 4:])
    assert sums.num == 50


def test_third_and_fourth_are_written_out() -> None:
    squares = (X**2).sum(1)
    sums = OwnSums.of(X.astype(np.float32))
    assert np.allclose(sums.third, (X * squares[:, None]).sum(0), rtol=1e-5)
    assert sums.fourth == pytest.approx((squares**2).sum(), rel=1e-5)


def test_views_of_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="50 and 49"):
        PairSums.of(X, Y[1:])
