"""Effective rank against singular values of the items themselves."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.metrics.effective_rank import effective_rank
from audiossl.metrics.moment_sums import OwnSums


def test_rank_is_that_of_the_singular_values() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6)) * np.array([9, 3, 1, 1, 0.1, 0.1])
    singular = np.linalg.svd(x, compute_uv=False)
    shares = singular / singular.sum()
    assert effective_rank(OwnSums.of(x)) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert effective_rank(OwnSums.of(x[:, :1] @ np.ones((1, 6)))) == pytest.approx(1.0, abs=1e-3)
