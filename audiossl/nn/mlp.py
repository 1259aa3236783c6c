"""A classifier of vectors: a linear layer, or one behind hidden layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Mlp(nn.Sequential):
    """Linear, layer norm, ReLU for each hidden width, then a linear layer."""

    def __init__(self, width: int, hidden: Sequence[int], num_classes: int) -> None:
        parts: list[nn.Module] = []
        for size in hidden:
            parts += [nn.Linear(width, size), nn.LayerNorm(size), nn.ReLU()]
            width = size
        super().__init__(*parts, nn.Linear(width, num_classes))

    @property
    def weight(self) -> Tensor:
        """Of the last layer. Its dtype is that of the head."""
        last = self[-1]
        assert isinstance(last, nn.Linear)
        return last.weight


def make_classifier(width: int, hidden: Sequence[int], num_classes: int) -> Any:
    """A linear layer from `width` to `num_classes`, or one behind hidden ones."""
    return Mlp(width, hidden, num_classes) if hidden else nn.Linear(width, num_classes)
