"""The model of factors: its evidence is that of a dense Gaussian, and its gradient that of differences."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.nn.factors import FactorAnalysis, FactorParameters
from audiossl.nn.kmeans import nearest_centre

WIDTH, CLUSTERS, RANK = 2, 3, 2
LENGTHS = torch.tensor([5, 1, 3])


def model() -> FactorAnalysis:
    draw = torch.Generator().manual_seed(0)
    centres, means = torch.randn(2, CLUSTERS, WIDTH, generator=draw)
    loadings = torch.randn(CLUSTERS, WIDTH, RANK, generator=draw)
    made = FactorAnalysis(WIDTH, CLUSTERS, RANK).double()
    made.adopt(FactorParameters(centres, means, loadings, torch.rand(CLUSTERS, WIDTH, generator=draw) + 0.3))
    return made


def frames() -> Tensor:
    return torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(1)).double()


@torch.no_grad()
def test_evidence_and_posterior_are_those_of_a_dense_gaussian() -> None:
    made, x = model(), frames()
    evidence, factors = made.evidence(x, LENGTHS), made(x, LENGTHS)
    for item, length in enumerate(LENGTHS.tolist()):
        labels = nearest_centre(x[item, :length], made.get_buffer("centres"))
        loadings = made.loadings[labels].flatten(0, 1)  # (T D, R)
        noise = made.log_variances.exp()[labels].flatten().diag()
        offsets = (x[item, :length] - made.means[labels]).flatten()
        covariance = loadings @ loadings.mT + noise
        dense = multivariate_normal(cov=covariance.numpy()).logpdf(offsets.numpy())
        assert float(evidence[item]) == pytest.approx(float(dense), abs=1e-9)
        expected = loadings.mT @ torch.linalg.solve(covariance, offsets)
        torch.testing.assert_close(factors[item], expected)


def test_the_gradient_of_the_evidence_is_that_of_finite_differences() -> None:
    made, x = model(), frames().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: made.evidence(x, LENGTHS), (x, *made.parameters()))


@torch.no_grad()
def test_padding_may_hold_anything_and_items_do_not_meet() -> None:
    made, x = model().float(), frames().float()
    spoilt = x.clone()
    for item, length in enumerate(LENGTHS.tolist()):
        spoilt[item, length:] = torch.nan
        alone = x[item : item + 1, :length], LENGTHS[item : item + 1]
        torch.testing.assert_close(made(spoilt, LENGTHS)[item], made(*alone)[0])
        torch.testing.assert_close(made.evidence(spoilt, LENGTHS)[item], made.evidence(*alone)[0])
    assert bool(made(x.half(), LENGTHS).isfinite().all())


def test_without_a_model_factors_are_zero_and_a_rank_has_a_bound() -> None:
    assert not FactorAnalysis(WIDTH, CLUSTERS, RANK)(frames().float(), LENGTHS).any()
    with pytest.raises(ConfigError, match=r"rank=7: 3 cluster\(s\) of width 2 have 6 means"):
        FactorAnalysis(WIDTH, CLUSTERS, 7)
