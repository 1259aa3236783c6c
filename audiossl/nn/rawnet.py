"""The frames of RawNet3 (Jung et al., 2022, arXiv:2203.08488), on any sequence in place of its filters of sound.

A convolution, three Res2Net blocks that scale and shift their channels by the item's mean (AFMS, section 3.2), and a
layer that reads all three. Its max-poolings over time, which bring 1600 frames a second down to a hundred, are left
out: the frames of an encoder have that rate.
Padding never changes a frame, see `frame_layers`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.frame_layers import FrameConvolution, FrameNorm, mean_over_time

SCALE = 8  # groups of channels of a Res2Net block
_DILATIONS = (2, 3, 4)


class RawNetFrames(nn.Module):
    """x (B, T, inputs), lengths (B,) frames -> (B, T, out_width).

    inputs: width of the sequence.
    channels: of the blocks, a multiple of 8.
    out_width: of the last layer.
    Raises ConfigError for another number of channels.
    """

    def __init__(self, inputs: int, channels: int, out_width: int) -> None:
        super().__init__()
        if channels % SCALE:
            raise ConfigError(f"channels={channels} must be a multiple of {SCALE}, the groups of a Res2Net block.")
        self.out_width = out_width
        self.first = ConvolutionReluNorm(inputs, channels, 5)
        self.blocks = nn.ModuleList(_Block(channels, dilation) for dilation in _DILATIONS)
        self.last = FrameConvolution(len(_DILATIONS) * channels, out_width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made = self.first(x.transpose(1, 2), lengths)  # (B, C, T)
        first = self.blocks[0](made, lengths)
        second = self.blocks[1](first, lengths)
        third = self.blocks[2](first + second, lengths)
        joined: Tensor = self.last(torch.cat([first, second, third], dim=1), lengths).relu()
        return joined.transpose(1, 2)


class ConvolutionReluNorm(nn.Module):
    """A convolution, ReLU and batch normalisation (B, C, T) -> (B, C', T)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = FrameConvolution(inputs, outputs, kernel_size, dilation=dilation)
        self.norm = FrameNorm(outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.norm(self.conv(x, lengths).relu(), lengths)
        return made


class Res2Groups(nn.Module):
    """Groups of channels (B, C, T), of which each also reads what was made of the one before it. The last stays.

    layers: what is made of each group but the last, called with it and the lengths.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        *groups, last = x.chunk(len(self.layers) + 1, dim=1)
        made: list[Tensor] = []
        for layer, group in zip(self.layers, groups, strict=True):
            made.append(layer(group + made[-1] if made else group, lengths))
        return torch.cat([*made, last], dim=1)


class _Block(nn.Module):
    """Frames, their context in groups, frames again, the input once more, then scaling and shifting: (B, C, T)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        group = channels // SCALE
        self.before, self.after = ConvolutionReluNorm(channels, channels), ConvolutionReluNorm(channels, channels)
        self.groups = Res2Groups([ConvolutionReluNorm(group, group, 3, dilation) for _ in range(SCALE - 1)])
        self.shift, self.scale = nn.Parameter(torch.ones(channels, 1)), nn.Linear(channels, channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = x + self.after(self.groups(self.before(x, lengths), lengths), lengths)
        weight: Tensor = self.scale(mean_over_time(made, lengths)).sigmoid()
        return (made + self.shift) * weight[..., None]
