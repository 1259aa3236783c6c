"""Expectation maximisation of the model of `audiossl.nn.factors`, on statistics of utterances, in float64.

With the posterior mean phi_u of each utterance and E_u = L_u^-1 + phi_u phi_u', one iteration is

    A_k = sum_u N_uk E_u,  B_k = sum_u F_uk phi_u',  T_k = B_k A_k^-1,  Phi_k = (S_k - diag(T_k B_k')) / N_k.

Variances have a floor. Q has one maximum over each variance, so that the floor is the best that is allowed,
and the likelihood never falls. Minimum divergence then gives the factors the mean 0 and the covariance 1 that the prior
says, by moving theirs into m_k and T_k (Kenny, 2008), by which it never falls either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from audiossl.core.ranges import Count, Range, Seed, check_ranges
from audiossl.nn.draws import keyed_generator
from audiossl.nn.factors import FactorParameters, Projections, check_rank

# Batches of the statistics of utterances, from the beginning whenever it is called: counts N (U, K), and sums F
# (U, K, D) about the centres.
ReadStatistics = Callable[[], Iterable[tuple[Tensor, Tensor]]]
_FIRST_SHARE = 0.04  # of the variance, that the drawn loadings explain


@dataclass(frozen=True)
class FactorConfig:
    """How a model is fitted."""

    rank: Count = 64
    """Number of factors R."""
    iterations: Count = 10
    """Iterations of expectation maximisation."""
    minimum_divergence: bool = True
    """Whether each iteration also brings the factors to the mean and covariance of the prior."""
    floor: Annotated[float, Range(above=0, most=1)] = 0.1
    """Least variance in a cluster, as a share of that in all clusters."""
    seed: Seed = 0
    """Seed of the first loadings."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Totals(NamedTuple):
    """Over all utterances.

    counts: frames (K,).
    sums: (K, D), of x - centre.
    squares: (K, D), of its square.
    """

    counts: Tensor
    sums: Tensor
    squares: Tensor


class FittedFactors(NamedTuple):
    """What expectation maximisation gives.

    parameters: of the model, float32.
    log_likelihoods: nats a frame before each iteration, and after the last.
    """

    parameters: FactorParameters
    log_likelihoods: list[float]


def fit_factors(centres: Tensor, totals: Totals, read: ReadStatistics, config: FactorConfig) -> FittedFactors:
    """Fit means, loadings and variances to utterances whose frames are aligned to centres (K, D).

    A cluster without frames has the mean of its centre, no loadings, and the variance of all clusters.

    centres: what statistics are about.
    totals: of all utterances.
    read: gives their statistics, batch by batch. It is called once an iteration, and once more.
    config: how many factors, and how they are fitted.
    Raises ConfigError for a rank beyond the size of the means.
    """
    check_rank(config.rank, *centres.shape)
    state = _Fit(centres.double(), totals, config)
    likelihoods = []
    for _ in range(config.iterations):
        likelihoods.append(state.expect(read))
        state.maximise()
    likelihoods.append(state.expect(read))
    found = FactorParameters(state.centres, state.means, state.loadings, state.variances)
    return FittedFactors(FactorParameters(*(value.float() for value in found)), likelihoods)


class _Fit:
    """Parameters, and what the last pass over the utterances summed up."""

    def __init__(self, centres: Tensor, totals: Totals, config: FactorConfig) -> None:
        self.centres, self.totals, self.config = centres, totals, config
        self.present = totals.counts[:, None].clamp(min=1)
        self.means = centres + totals.sums / self.present
        _, squares = self._about_means()
        within = squares.sum(0) / totals.counts.sum()  # (D,)
        self.floor = (config.floor * within).clamp(min=1e-12)
        empty = totals.counts[:, None] == 0
        self.variances = torch.where(empty, within.clamp(min=1e-12), (squares / self.present).clamp(min=self.floor))
        drawn = torch.randn(
            *centres.shape, config.rank, dtype=torch.float64, generator=keyed_generator(config.seed, "loadings")
        )
        scale = (self.variances * _FIRST_SHARE / config.rank).sqrt()[..., None]
        self.loadings = torch.where(empty[..., None], torch.zeros_like(drawn), drawn * scale)

    def _about_means(self) -> tuple[Tensor, Tensor]:
        """Totals (K, D) of x - m_k and of its square, which rounding may not make negative."""
        counts, sums, squares = self.totals
        shift = self.means - self.centres
        about = sums - counts[:, None] * shift
        return about, (squares - 2 * shift * sums + counts[:, None] * shift.square()).clamp(min=0)

    def expect(self, read: ReadStatistics) -> float:
        """Sum up A, B and the moments of the factors over all utterances. Returns nats a frame."""
        clusters, width, rank = self.loadings.shape
        projections = Projections.of(self.loadings, self.variances)
        self.a = self.loadings.new_zeros(clusters, rank * rank)
        self.b = self.loadings.new_zeros(clusters * width, rank)
        self.first, self.second = self.loadings.new_zeros(rank), self.loadings.new_zeros(rank, rank)
        self.num_utterances, explained = 0, 0.0
        shift = self.means - self.centres
        for counts, sums in read():
            counts, about = counts.double(), sums.double() - counts.double()[..., None] * shift
            posterior = projections.posterior(counts, about)
            second = torch.cholesky_inverse(posterior.cholesky) + posterior.mean[:, :, None] * posterior.mean[:, None]
            self.a += counts.mT @ second.flatten(1)
            self.b += about.flatten(1).mT @ posterior.mean
            self.first += posterior.mean.sum(0)
            self.second += second.sum(0)
            self.num_utterances += len(counts)
            explained += float(posterior.explained.sum())
        return (self._alone() + explained) / float(self.totals.counts.sum())

    def _alone(self) -> float:
        """Log likelihood of all frames without factors, in nats."""
        _, squares = self._about_means()
        constant = math.log(2 * math.pi) * self.means.shape[1] + self.variances.log().sum(1)
        return -float(self.totals.counts @ constant + (squares / self.variances).sum()) / 2

    def maximise(self) -> None:
        """Take the parameters that the sums of the last pass say."""
        clusters, width, rank = self.loadings.shape
        empty = self.totals.counts == 0
        a = self.a.unflatten(1, (rank, rank)) + empty[:, None, None] * torch.eye(rank, dtype=torch.float64)
        b = self.b.unflatten(0, (clusters, width))
        self.loadings = torch.linalg.solve(a, b, left=False)  # T A = B, and A is symmetric
        _, squares = self._about_means()
        variances = ((squares - (self.loadings * b).sum(-1)) / self.present).clamp(min=self.floor)
        self.variances = torch.where(empty[:, None], self.variances, variances)
        if self.config.minimum_divergence:
            mean = self.first / self.num_utterances
            covariance = self.second / self.num_utterances - torch.outer(mean, mean)
            self.means = self.means + self.loadings @ mean
            self.loadings = self.loadings @ torch.linalg.cholesky(covariance)
