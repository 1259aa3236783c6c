"""Each channel of an item at zero mean and unit variance over the item's own frames (arXiv:1607.08022)."""

from __future__ import annotations

import torch
from torch import Tensor


def normalize_over_time(x: Tensor, valid: Tensor, eps: float = 1e-5) -> Tensor:
    """(B, T, D) -> (B, T, D) in float32, zero beyond an item's frames.

    x: of which padding may hold anything.
    valid: (B, T) bool, True for real frames.
    eps: added to the variance.
    """
    inside = valid[..., None]
    count = valid.sum(dim=1).clamp(min=1)[:, None, None]
    centred = torch.where(inside, x.float(), 0.0)
    centred = torch.where(inside, centred - centred.sum(dim=1, keepdim=True) / count, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred * torch.rsqrt(variance + eps)
