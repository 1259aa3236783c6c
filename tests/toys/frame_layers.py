"""What every layer over frames has to keep: padding changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def check_padding(make: Callable[[], nn.Module], width: int) -> None:
    """A batch with NaN as padding equals a clean one in training, and its items one by one later.

    make: a module of the same weights each time, frames (B, T, width) and lengths (B,) -> frames (B, T, D).
    width: of the frames.
    """
    lengths, x = torch.tensor([9, 1, 6]), torch.randn(3, 9, width)
    clean = make()(x, lengths)
    model = make().eval()
    alone = [model(item[None, :length], length[None])[0] for item, length in zip(x, lengths, strict=True)]
    for item, length in zip(x, lengths, strict=True):
        item[length:] = torch.nan
    for made, expected in ((make()(x, lengths), clean), (model(x, lengths), alone)):
        for found, wanted, length in zip(made, expected, lengths, strict=True):
            torch.testing.assert_close(found[:length], wanted[:length], atol=1e-5, rtol=1e-4)
