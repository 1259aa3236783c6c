"""Items that were encoded one by one, as a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def join_items(items: Sequence[Sequence[Tensor]], num_frames: int) -> list[Tensor]:
    """(B, T, D_l) of each layer, zero beyond the frames of an item.

    items: of each of B items the layers (1, T_i, D_l).
    num_frames: T, as many as the longest has, or more.

    >>> [layer.shape for layer in join_items([[torch.ones(1, 2, 8)], [torch.ones(1, 3, 8)]], 3)]
    [torch.Size([2, 3, 8])]
    """
    if len(items) == 1 and items[0][0].shape[1] == num_frames:
        return list(items[0])
    padded = [[F.pad(state, (0, 0, 0, num_frames - state.shape[1])) for state in item] for item in items]
    return [torch.cat(layer) for layer in zip(*padded, strict=True)]
