"""A GroupNorm over channels and time that counts each item's own frames (arXiv:1803.08494)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedGroupNorm(nn.GroupNorm):
    """As `torch.nn.GroupNorm`, whose statistics are those of real frames, in float32."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, C, T) -> (B, C, T).

        x: of which padding may hold any finite numbers.
        valid: (B, T) bool, True for real frames. None where all frames count.
        """
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.weight.float(), self.bias.float()
            if valid is None:
                return F.group_norm(x.float(), self.num_groups, weight, bias, self.eps).to(x.dtype)
            # Each group as one row of an item, so that mean and variance are over its channels and frames together.
            grouped, inside = x.float().unflatten(1, (self.num_groups, -1)), valid[:, None, None]
            count = (inside.sum(-1, keepdim=True) * grouped.shape[2]).clamp(min=1)  # (B, 1, 1, 1)
            mean = torch.where(inside, grouped, 0.0).sum((2, 3), keepdim=True) / count
            centred = torch.where(inside, grouped - mean, 0.0)
            variance = centred.square().sum((2, 3), keepdim=True) / count
            made = (centred * torch.rsqrt(variance + self.eps)).flatten(1, 2)
            return (made * weight[:, None] + bias[:, None]).to(x.dtype)
