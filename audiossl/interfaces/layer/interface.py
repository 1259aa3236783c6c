"""One layer, as it is or projected to another width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count
from audiossl.nn.linear import linear_or_identity, project
from audiossl.training.interface import Interface, checked_width


class Layer(Interface):
    """One layer, by its index. Negative ones count from the end. Its natural width is its own."""

    commutes_with_mean = True
    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the chosen layer."""
        index: int = -1
        """Which layer, from 0. Negative ones count from the end."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        if not -len(self.widths) <= self.config.index < len(self.widths):
            raise ConfigError(f"index={self.config.index}: there are layers 0 to {len(self.widths) - 1}.")
        chosen = self.widths[self.config.index]
        self.width = checked_width(self.config.width, chosen)
        self.projection = linear_or_identity(chosen, self.width)

    @property
    def up_to_layer(self) -> int:
        return range(len(self.widths))[self.config.index]

    @property
    def layers_read(self) -> tuple[int, ...]:
        return (self.up_to_layer,)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return project(self.projection, layers[self.up_to_layer])


class Last(Interface):
    """The last layer."""

    commutes_with_mean = True
    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the last layer."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[-1])
        self.projection = linear_or_identity(self.widths[-1], self.width)

    @property
    def up_to_layer(self) -> int:
        return len(self.widths) - 1

    @property
    def layers_read(self) -> tuple[int, ...]:
        return (self.up_to_layer,)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return project(self.projection, layers[self.up_to_layer])
