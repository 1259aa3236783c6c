"""Hidden states of layers to be united."""

from __future__ import annotations

import torch

from audiossl.core.types import Features

LENGTHS = torch.tensor([9, 5])


def features_of(num_layers: int, width: int = 6, offset: float = 0.0) -> Features:
    generator = torch.Generator().manual_seed(0)
    layers = tuple(torch.randn(2, 9, width, generator=generator) + offset for _ in range(num_layers))
    return Features(layers, LENGTHS)


def stack_of(widths: tuple[int, ...], frames: int = 9) -> Features:
    generator = torch.Generator().manual_seed(0)
    layers = tuple(torch.randn(2, frames, width, generator=generator) for width in widths)
    return Features(layers, torch.tensor([frames, frames - 4]))
