"""All layers side by side (Shih and Harwath, 2024, arXiv:2406.12209)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count
from audiossl.training.interface import Interface, checked_width


class Concat(Interface):
    """A linear map of all layers side by side: W x + b, where x stacks x_1 to x_L along the channels."""

    commutes_with_mean = True
    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[0])
        self.projection = nn.Linear(sum(self.widths), self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        # W = [W_1 ... W_L]: the products are added layer by layer, the concatenation is never made.
        weight, bias = self.projection.weight, self.projection.bias
        blocks = weight.split(self.widths, dim=1)
        autocast = torch.is_autocast_enabled(layers[0].device.type)
        total: Tensor = bias
        for block, layer in zip(blocks, layers, strict=True):
            total = total + nn.functional.linear(layer if autocast else layer.to(weight.dtype), block)
        return total
