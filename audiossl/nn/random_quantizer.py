"""The random-projection quantiser (BEST-RQ, Chiu et al., 2022, arXiv:2202.01855, section 3.1), which never trains.

    label = argmin_k | n(c_k) - n(A x) |,    n(v) = v / |v|,

with A drawn by Xavier's rule and codes c_k from a normal distribution. Its input must have a mean of 0 and a variance
of 1 in each dimension: else all frames meet few codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RandomProjectionQuantizer(nn.Module):
    """Labels of vectors, by a projection and codes that are drawn once and kept in the state.

    width: F of the input.
    code_width: of the projection and the codes.
    num_codes: K.
    draw: what both are drawn by.
    """

    projection: Tensor
    codes: Tensor

    def __init__(self, width: int, code_width: int, num_codes: int, draw: torch.Generator) -> None:
        super().__init__()
        bound = (6 / (width + code_width)) ** 0.5
        self.register_buffer("projection", bound * (2 * torch.rand(width, code_width, generator=draw) - 1))
        self.register_buffer("codes", F.normalize(torch.randn(num_codes, code_width, generator=draw), dim=-1))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """(..., F) -> labels (...), int64."""
        with torch.autocast(x.device.type, enabled=False):
            # The nearest of unit vectors is the one with the largest product, whatever the length of A x.
            scores = (x.float() @ self.projection) @ self.codes.T
        return scores.argmax(-1)


def label_figures(labels: Tensor, num_labels: int) -> dict[str, Tensor]:
    """How many of the labels (N,) there are, in one batch. Zeros where N is 0.

    majority: share of the most frequent.
    perplexity: exp of the entropy.
    usage: share of all labels that occur.
    """
    counts = torch.bincount(labels, minlength=num_labels).float()
    shares = counts / counts.sum().clamp(min=1)
    perplexity = torch.special.entr(shares).sum().exp() * (counts.sum() > 0)
    return {"majority": shares.max(), "perplexity": perplexity, "usage": (counts > 0).float().mean()}
