"""The frames of SKA-TDNN (Mun et al., 2022, arXiv:2204.01005): convolutions that choose their reach by the item.

Several kernels read the same, and a softmax over them, of the item's means, weighs what they make: for each band and
for each channel in a two-dimensional front end, for each channel in Res2Net blocks over time (section 3).
A linear layer stands for the mel filters, as in ESPnet-SPK where the sequence is of an encoder. No frame is left out
by a stride over time: those of an encoder are fewer than those of a spectrogram.
Padding never changes a frame, see `frame_layers`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.frame_layers import FrameConvolution, FrameConvolution2d, FrameNorm, mean_over_time, zero_beyond
from audiossl.nn.rawnet import SCALE, ConvolutionReluNorm, Res2Groups

_FEWEST_HIDDEN = 16  # units between the means and the weights of kernels
_DILATIONS = (2, 3, 4)


class SkaTdnnFrames(nn.Module):
    """x (B, T, inputs), lengths (B,) frames -> (B, T, out_width).

    inputs: width of the sequence.
    bands: that a linear layer makes of it, a multiple of 4.
    front_channels: of the two-dimensional front end.
    channels: of the blocks over time, a multiple of 8.
    out_width: of the last layer.
    Raises ConfigError for other numbers of bands and channels.
    """

    def __init__(self, inputs: int, bands: int, front_channels: int, channels: int, out_width: int) -> None:
        super().__init__()
        if bands % 4:
            raise ConfigError(f"bands={bands} must be a multiple of 4, by which the front end divides them.")
        if channels % SCALE:
            raise ConfigError(f"channels={channels} must be a multiple of {SCALE}, the groups of a Res2Net block.")
        self.out_width = out_width
        self.projection = nn.Linear(inputs, bands)
        self.front = nn.ModuleList(
            [
                _Layer2d(1, front_channels, stride=2),
                *(_FrontBlock(front_channels, bands // 2) for _ in range(2)),
                _Layer2d(front_channels, front_channels, stride=2),
            ]
        )
        self.first = ConvolutionReluNorm(front_channels * bands // 4, channels, 5)
        self.blocks = nn.ModuleList(_Block(channels, dilation) for dilation in _DILATIONS)
        self.last = FrameConvolution(len(_DILATIONS) * channels, out_width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        real = zero_beyond(x.transpose(1, 2), lengths).transpose(1, 2)
        made = self.projection(real).transpose(1, 2)[:, None]  # (B, 1, F, T)
        for layer in self.front:
            made = layer(made, lengths)
        read = self.first(made.flatten(1, 2), lengths)  # (B, C, T)
        outputs: list[Tensor] = []
        for block in self.blocks:
            output = block(read, lengths)
            outputs.append(output)
            read = read + output
        joined: Tensor = self.last(torch.cat(outputs, dim=1), lengths).relu()
        return joined.transpose(1, 2)


class _Layer2d(nn.Module):
    """A convolution, batch normalisation and ReLU (B, C, F, T) -> (B, C', F / stride, T)."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 3, *, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = FrameConvolution2d(inputs, outputs, kernel_size, stride=stride), FrameNorm(outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.norm(self.conv(x, lengths), lengths).relu()
        return made


class _FrontBlock(nn.Module):
    """Two convolutions, a choice of kernels for each band and one for each channel, and the input: (B, C, F, T)."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                _Layer2d(channels, channels),
                _Layer2d(channels, channels),
                SelectiveKernels([_Layer2d(channels, channels, size) for size in (3, 5)], bands, dim=2, reduction=8),
                SelectiveKernels([_Layer2d(channels, channels, size) for size in (3, 5)], channels, dim=1, reduction=8),
            ]
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made = x
        for layer in self.layers:
            made = layer(made, lengths)
        return (x + made).relu()


class _Block(nn.Module):
    """A Res2Net block with a choice of kernels in each group, squeeze and excitation, and the input: (B, C, T)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        group = channels // SCALE
        self.before, self.after = ConvolutionReluNorm(channels, channels), ConvolutionReluNorm(channels, channels)
        choices: list[nn.Module] = [
            SelectiveKernels(
                [ConvolutionReluNorm(group, group, size, dilation) for size in (3, 5)], group, dim=1, reduction=4
            )
            for _ in range(SCALE - 1)
        ]
        self.groups = Res2Groups(choices)
        self.squeeze, self.excite = nn.Linear(channels, 128), nn.Linear(128, channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.after(self.groups(self.before(x, lengths), lengths), lengths)
        weight: Tensor = self.excite(self.squeeze(mean_over_time(made, lengths)).relu()).sigmoid()
        return x + made * weight[..., None]


class SelectiveKernels(nn.Module):
    """A mean of what several layers make (B, C, ..., T), with weights of the item (Li et al., 2019, arXiv:1903.06586).

    layers: of different kernels, called with the input and the lengths. What they make has one shape.
    size: of the dimension whose entries have weights of their own.
    dim: which one that is.
    reduction: of that size to the hidden units, of which there are at least 16.
    """

    def __init__(self, layers: list[nn.Module], size: int, *, dim: int, reduction: int) -> None:
        super().__init__()
        self.layers, self.dim = nn.ModuleList(layers), dim
        self.hidden = nn.Linear(size, max(_FEWEST_HIDDEN, size // reduction))
        self.scores = nn.Linear(self.hidden.out_features, len(layers) * size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made = torch.stack([layer(x, lengths) for layer in self.layers])  # (K, B, C, ..., T)
        means = mean_over_time(made.sum(dim=0), lengths)  # (B, C, ...)
        means = means.movedim(self.dim, 1).flatten(2).mean(dim=2) if means.ndim > 2 else means  # (B, size)
        scores = self.scores(self.hidden(means).relu()).unflatten(1, (len(self.layers), -1))  # (B, K, size)
        shape = [1] * (made.ndim - 1)
        shape[0], shape[self.dim] = len(x), -1
        weights = [each.reshape(shape) for each in scores.softmax(dim=1).unbind(dim=1)]
        return (torch.stack(weights).to(made.dtype) * made).sum(dim=0)
