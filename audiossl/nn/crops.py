"""Crops of waveforms that are on any device already."""

from __future__ import annotations

import torch
from torch import Tensor


def crops_at(wavs: Tensor, first: Tensor, lengths: Tensor, size: int) -> Tensor:
    """A part of each item.

    wavs: (B, S).
    first: (B,), the sample that it begins with.
    lengths: (B,), its samples, which the item must have.
    size: S' of the result, the longest of the lengths at least.
    Returns (B, S'), zero beyond the lengths.

    >>> crops_at(torch.arange(6.0)[None], torch.tensor([2]), torch.tensor([3]), 4)
    tensor([[2., 3., 4., 0.]])
    """
    step = torch.arange(size, device=wavs.device)
    index = (first[:, None] + step).clamp(max=wavs.shape[1] - 1)
    return torch.where(step < lengths[:, None], wavs.gather(1, index), wavs.new_zeros(()))
