"""A bottleneck beside the feed-forward part of a Transformer block (arXiv:2305.17394, arXiv:2110.04366).

A block whose feed-forward part gives f(z) for its input z then gives f(z) + up(relu(down(z))).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ParallelAdapter(nn.Module):
    """The bottleneck. At first it gives 0, so that nothing changes before it is trained.

    width: D.
    bottleneck: hidden units.
    noise: in training, most noise on the hidden units, as a share of their mean. 0 for none.
    active: False where it is passed over: it gives 0, and has no part in the graph.
    """

    def __init__(self, width: int, bottleneck: int, noise: float = 0.0) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.noise, self.active = noise, True

    def forward(self, x: Tensor) -> Tensor:
        """What the feed-forward part reads, (..., D) -> what is added to what it gives, (..., D)."""
        hidden = F.relu(self.down(x))
        if self.training and self.noise:
            # Each frame has a deviation of its own, from a fifth of the most to the most, so that padding has no say.
            share = self.noise * (0.2 + 0.8 * torch.rand_like(hidden[..., :1]))
            hidden = hidden + share * hidden.mean(-1, keepdim=True) * torch.randn_like(hidden)
        made: Tensor = self.up(hidden)
        return made


def beside(adapter: nn.Module | None, change: Tensor, x: Tensor) -> Tensor:
    """What a feed-forward part gives, with what its adapter adds.

    adapter: a `ParallelAdapter`, None for none.
    change: what the part gives, (..., D).
    x: what both read, (..., D).
    """
    if adapter is None or not adapter.active:
        return change
    made: Tensor = change + adapter(x)
    return made
