"""Which frames of a padded batch are real."""

from __future__ import annotations

import torch
from torch import Tensor


def valid_frames(lengths: Tensor, num_frames: int) -> Tensor:
    """(B, T) bool with T = num_frames: True for frame t of item b where t < lengths[b].

    The result is on the device of the lengths, (B,) integers. Nothing is read back from it.

    >>> valid_frames(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(num_frames, device=lengths.device) < lengths[:, None]
