"""Layers over time (B, C, ..., T) in which each item ends at its own last frame, wherever its batch ends.

A convolution meets zeros beyond an item, as it would if the item were alone. Batch normalisation takes its statistics
of real frames only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiossl.nn.masking import valid_frames


def zero_beyond(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, C, ..., T), lengths (B,) frames -> the same with zeros in the padding, whatever was there."""
    return torch.where(_valid(x, lengths), x, x.new_zeros(()))


def mean_over_time(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, C, ..., T), lengths (B,) frames, at least 1 -> (B, C, ...), in float32 at least."""
    wide = torch.promote_types(x.dtype, torch.float32)
    frames = lengths.view(-1, *[1] * (x.ndim - 2))
    return zero_beyond(x, lengths).to(wide).sum(dim=-1) / frames


class FrameConvolution(nn.Module):
    """(B, I, T) -> (B, O, T), with zeros around each item.

    inputs, outputs: channels.
    kernel_size: an odd number of frames.
    dilation: frames from one tap to the next.
    groups: of channels that are kept apart.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 1, *, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        reach = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, padding=reach, dilation=dilation, groups=groups)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.conv(zero_beyond(x, lengths))
        return made


class FrameConvolution2d(nn.Module):
    """(B, I, F, T) -> (B, O, F', T), with zeros around each item. F' is F over the stride, rounded up.

    inputs, outputs: channels.
    kernel_size: an odd number of bands and frames.
    stride: bands from one output band to the next.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 3, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride=(stride, 1), padding=kernel_size // 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.conv(zero_beyond(x, lengths))
        return made


class VectorNorm(nn.BatchNorm1d):
    """Batch normalisation of N vectors (N, C) or (N, C, F). A single number of each channel has no deviation, and is
    normalised by the running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x[:, 0].numel() == 1:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class FrameNorm(nn.Module):
    """Batch normalisation of each channel (B, C, ..., T), with the statistics of real frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = VectorNorm(channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if not self.training:  # a function of each frame alone
            normed: Tensor = self.norm(x.flatten(2)).view_as(x)
            return normed
        valid = valid_frames(lengths, x.shape[-1])
        normed = self.norm(x.movedim(-1, 1)[valid])  # (N, C, ...)
        made = normed.new_zeros(len(x), x.shape[-1], *normed.shape[1:])
        made[valid] = normed
        return made.movedim(1, -1)


def _valid(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, 1, ..., T) bool."""
    return valid_frames(lengths, x.shape[-1]).view(len(x), *[1] * (x.ndim - 2), -1)
