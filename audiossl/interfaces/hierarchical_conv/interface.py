"""Convolutions over the layer axis (Shih and Harwath, 2024, arXiv:2406.12209)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count
from audiossl.nn.chunks import by_chunks
from audiossl.nn.linear import in_dtype_of, linear_or_identity, project
from audiossl.training.interface import Interface, checked_width


class HierarchicalConv(Interface):
    """Convolutions over the layer axis of each frame: kernel 5, stride 3, padding 2, ReLU after each.

    There are n = floor(log_3 L) of them. All but the last have as many channels as the (common) layer width. The
    last leaves l layers and has ceil(width / l) channels, so that flattened they are at least `width`. A linear layer
    makes it exact where l does not divide it (the published code returns 1023 of 1024 for 25 layers).
    n is 0 for 1 or 2 layers. There, one convolution spans them all (kernel L, no padding): a linear map of the layers
    side by side, with a ReLU.
    Layers of another width than the first are projected to it.
    """

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer."""
        chunk_frames: Count = 2048
        """Frames that are mixed at once. A longer batch is recomputed in the backward pass, by chunks."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        common = self.widths[0]
        self.width = checked_width(self.config.width, common)
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.convolutions, flat = _layer_convolutions(len(self.widths), common, self.width)
        self.projection = linear_or_identity(flat, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return by_chunks(self._fuse, layers, self.config.chunk_frames)

    def _fuse(self, layers: Sequence[Tensor]) -> Tensor:
        """L tensors (N, D_l) -> (N, width)."""
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        x = torch.stack(in_dtype_of(next(self.convolutions.parameters()), aligned), dim=-1)  # (N, D, L)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        return project(self.projection, x.flatten(start_dim=1))  # channels outer, layers inner


def floor_log(number: int, base: int) -> int:
    """The largest n with base ** n <= number, in integers (in floating point, log 243 / log 3 is below 5).

    >>> floor_log(243, 3), floor_log(242, 3), floor_log(1, 3)
    (5, 4, 0)
    """
    power = 0
    while base ** (power + 1) <= number:
        power += 1
    return power


def _layer_convolutions(num_layers: int, channels: int, width: int) -> tuple[nn.ModuleList, int]:
    """The convolutions of HierarchicalConv and the width of their flattened output, at least `width`."""
    num_convolutions = floor_log(num_layers, 3)
    if num_convolutions == 0:
        return nn.ModuleList([nn.Conv1d(channels, width, num_layers)]), width
    convolutions: list[nn.Module] = []
    for step in range(num_convolutions):
        num_layers = (num_layers + 2 * 2 - 5) // 3 + 1
        last = step == num_convolutions - 1
        out_channels = -(-width // num_layers) if last else channels
        convolutions.append(nn.Conv1d(channels, out_channels, kernel_size=5, stride=3, padding=2))
    return nn.ModuleList(convolutions), out_channels * num_layers
