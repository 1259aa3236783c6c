"""A vector quantiser by the nearest entry, with a straight-through gradient (VQ-VAE, arXiv:1711.00937).

vq-wav2vec (arXiv:1910.05453, section 3.2) calls it k-means. What is quantised is projected, group by group, and becomes
the nearest entry of the group's codebook. Its gradient passes to the projection as if nothing had been rounded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.group_norm import MaskedGroupNorm
from audiossl.nn.quantizer import Quantized, codebook_shape


class KMeansQuantizer(nn.Module):
    """G codebooks of V entries, each of D / G numbers, and a projection of each group by itself.

    groups: G.
    codes: V.
    width: D, of what is quantised and of what it becomes.
    shared: whether all groups have one codebook in common.
    commitment: weight, beside the error of the entries, of that of what is quantised.
    """

    def __init__(self, groups: int, codes: int, width: int, *, shared: bool = False, commitment: float = 0.25) -> None:
        super().__init__()
        self.groups, self.codes, self.commitment = groups, codes, commitment
        shape = codebook_shape(groups, codes, width, shared)
        self.project = nn.Conv1d(width, width, 1, groups=groups, bias=False)
        self.norm = MaskedGroupNorm(groups, width)
        self.entries = nn.Parameter(0.01 * torch.randn(shape))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Quantized:
        """x (B, T, D), of which valid (B, T) frames are real. None for all of them.

        The errors are |sg(z) - e|^2 + commitment |z - sg(e)|^2, the mean over channels, where sg stops the gradient.
        The probabilities are those of the codes that were chosen, 0 or 1.
        """
        projected = self.norm(self.project(x.transpose(1, 2)), valid).transpose(1, 2)
        with torch.autocast(x.device.type, enabled=False):
            z = projected.float().unflatten(-1, (self.groups, -1))  # (B, T, G, D / G)
            entries = self.entries.float().expand(self.groups, -1, -1)
            # |z - e|^2 without |z|^2, which all entries of a codebook have in common.
            scores = torch.einsum("btgd,gvd->btgv", z, entries) - entries.square().sum(-1) / 2
            codes = scores.argmax(-1)
            chosen = entries[torch.arange(self.groups, device=codes.device), codes]  # (B, T, G, D / G)
            errors = (z.detach() - chosen).square() + self.commitment * (z - chosen.detach()).square()
            vectors = chosen.detach() + (z - z.detach())
            probabilities = F.one_hot(codes, self.codes).to(vectors.dtype)
        return Quantized(vectors.flatten(-2), codes, probabilities, errors.mean((-2, -1)))
