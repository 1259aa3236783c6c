"""DINO's projection head (arXiv:2104.14294, section 3.1 and appendix C)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class DinoHead(nn.Module):
    """Three layers with GELU, a vector of unit length, and its cosines with a number of directions.

    width: of the input.
    hidden_width: of the layers between.
    bottleneck: of the vector of unit length.
    outputs: K, how many directions there are.
    """

    def __init__(self, width: int, hidden_width: int, bottleneck: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden_width),
            nn.GELU(),
            nn.Linear(hidden_width, hidden_width),
            nn.GELU(),
            nn.Linear(hidden_width, bottleneck),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.directions = nn.Linear(bottleneck, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width) -> (N, K), from -1 to 1."""
        unit = F.normalize(self.layers(x).float(), dim=-1)
        return F.linear(unit, F.normalize(self.directions.weight.float(), dim=-1))
