"""Neural factor analysis: what is common to the frames of an utterance, once their content is accounted for.

A frame x_t with the unit k(t), that of the nearest of K centres, is

    x_t | w ~ N(m_k + T_k w, diag(Phi_k)),  w ~ N(0, I_R),

with one factor w for the whole utterance, as in total variability (Dehak et al., 2011). The hard alignment makes all of
it exact. With N_k frames of a unit, F_k the sum of their x_t - m_k, and b = sum_k T_k' Phi_k^-1 F_k, the posterior of w
has the precision L = I + sum_k N_k T_k' Phi_k^-1 T_k and the mean L^-1 b. The log evidence is

    log p(x) = sum_t log N(x_t | m_k, Phi_k) + b' L^-1 b / 2 - log|L| / 2.

The algebra is the textbook's. The published system may differ in what cannot be read off it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.kmeans import nearest_centre
from audiossl.nn.masking import valid_frames
from audiossl.nn.pooling import Pooling


class FactorParameters(NamedTuple):
    """A model of K units, width D and rank R.

    centres: (K, D), to the nearest of which a frame belongs.
    means: (K, D), m_k.
    loadings: (K, D, R), T_k.
    variances: (K, D), the diagonals of Phi_k.
    """

    centres: Tensor
    means: Tensor
    loadings: Tensor
    variances: Tensor


class Posterior(NamedTuple):
    """Of the factor w of each utterance.

    mean: (B, R).
    cholesky: (B, R, R), the lower triangle whose product with its transpose is the precision L.
    explained: (B,), b' L^-1 b / 2 - log|L| / 2, which the evidence has more than the frames without a factor.
    """

    mean: Tensor
    cholesky: Tensor
    explained: Tensor


class Projections(NamedTuple):
    """What posteriors need of the parameters.

    weighted: (K, D, R), Phi_k^-1 T_k.
    precisions: (K, R, R), T_k' Phi_k^-1 T_k.
    """

    weighted: Tensor
    precisions: Tensor

    @classmethod
    def of(cls, loadings: Tensor, variances: Tensor) -> Projections:
        """Of loadings (K, D, R) and variances (K, D)."""
        weighted = loadings / variances[..., None]
        return cls(weighted, loadings.mT @ weighted)

    def posterior(self, counts: Tensor, sums: Tensor) -> Posterior:
        """counts N (B, K), sums F (B, K, D) -> the posterior of each utterance."""
        rank = self.weighted.shape[-1]
        b = sums.flatten(1) @ self.weighted.flatten(0, 1)  # (B, R)
        precision = (counts @ self.precisions.flatten(1)).unflatten(1, (rank, rank))
        cholesky = torch.linalg.cholesky(precision + torch.eye(rank, dtype=b.dtype, device=b.device))
        mean = torch.cholesky_solve(b[..., None], cholesky)[..., 0]
        log_det = 2 * cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return Posterior(mean, cholesky, (b * mean).sum(-1) / 2 - log_det / 2)


class FactorAnalysis(Pooling):
    """The posterior mean of the factor as a pooling: x (B, T, D), lengths (B,) frames -> (B, R).

    Before `adopt` has given it a model, all factors are 0.

    width: D.
    clusters: K.
    rank: R.
    """

    fitted: Tensor

    def __init__(self, width: int, clusters: int, rank: int) -> None:
        super().__init__(width)
        check_rank(rank, clusters, width)
        self.rank = rank
        self.register_buffer("centres", torch.zeros(clusters, width))
        self.means = nn.Parameter(torch.zeros(clusters, width))
        self.loadings = nn.Parameter(torch.zeros(clusters, width, rank))
        self.log_variances = nn.Parameter(torch.zeros(clusters, width))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def out_width(self) -> int:
        return self.rank

    @torch.no_grad()
    def adopt(self, found: FactorParameters) -> None:
        """Take a fitted model of the same sizes."""
        self.get_buffer("centres").copy_(found.centres)
        self.means.copy_(found.means)
        self.loadings.copy_(found.loadings)
        self.log_variances.copy_(found.variances.log())
        self.fitted.fill_(True)

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        _, offsets, counts, sums = self._aligned(x, valid)
        return self._projections(offsets).posterior(counts, sums).mean

    def evidence(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Log marginal likelihood (B,) in nats of the frames of x (B, T, D) with lengths (B,), in float32 at least.

        Gradients reach the frames and all parameters, but for the alignment, which has none.
        """
        lengths = lengths.to(x.device).clamp(min=1)
        valid = valid_frames(lengths, x.shape[1])[..., None]
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.where(valid, x, x.new_zeros(())).to(torch.promote_types(x.dtype, torch.float32))
            labels, offsets, counts, sums = self._aligned(wide, valid)
            log_variances = self.log_variances.to(wide.dtype)
            quadratic = (offsets.square() * (-log_variances).exp()[labels]).sum(dim=(1, 2))
            constant = math.log(2 * math.pi) * self.width + log_variances.sum(dim=-1)  # (K,)
            alone = -(counts @ constant + quadratic) / 2
            return alone + self._projections(wide).posterior(counts, sums).explained

    def _projections(self, like: Tensor) -> Projections:
        return Projections.of(self.loadings.to(like.dtype), self.log_variances.to(like.dtype).exp())

    def _aligned(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The unit of each frame (B, T), its x - m_k (B, T, D), N (B, K) and F (B, K, D). Padding counts nothing."""
        means = self.means.to(x.dtype)
        labels = nearest_centre(x, self.get_buffer("centres"))
        offsets = torch.where(valid, x - means[labels], x.new_zeros(()))
        counts = x.new_zeros(len(x), len(means)).scatter_add(1, labels, valid[..., 0].to(x.dtype))
        index = labels[..., None].expand_as(offsets)
        sums = x.new_zeros(len(x), *means.shape).scatter_add(1, index, offsets)
        return labels, offsets, counts, sums


def check_rank(rank: int, clusters: int, width: int) -> None:
    """Raise ConfigError for more factors than the means of all units have dimensions."""
    if rank > clusters * width:
        raise ConfigError(
            f"rank={rank}: {clusters} cluster(s) of width {width} have {clusters * width} means, of which there are at "
            f"most as many factors; take a smaller rank."
        )
