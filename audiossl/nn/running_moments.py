"""Statistics of a whole recording from one pass over its blocks, so that a part of it can be encoded as in the whole.

The waveform's mean and variance are running sums. The GroupNorm of the base style needs mean and variance of each
channel of the first convolution. Both follow from the mean (K,) and covariance (K, K) of its windows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from audiossl.nn.conv_stem import channel_moments


class WindowSums:
    """Sums, in float64, over the samples of a recording and over the windows of a convolution on it.

    kernel: samples of a window.
    stride: samples from one window to the next.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        self.kernel, self.stride = kernel, stride
        self.num_samples = self.num_windows = 0
        self.sum = self.square = torch.zeros((), dtype=torch.float64)
        self.window_sum = torch.zeros(kernel, dtype=torch.float64)
        self.window_product = torch.zeros(kernel, kernel, dtype=torch.float64)
        self._rest = torch.zeros(0, dtype=torch.float64)
        self._skip = 0

    def add(self, block: Tensor) -> None:
        """The next samples (S,) of the recording."""
        block = block.detach().to("cpu", torch.float64)
        self.num_samples += block.numel()
        self.sum, self.square = self.sum + block.sum(), self.square + block.square().sum()
        # A window may begin in the block before, or, where the stride is wider than the kernel, only in a later one.
        samples = torch.cat([self._rest, block])
        skipped, samples = samples[: self._skip], samples[self._skip :]
        self._skip -= skipped.numel()
        count = max(0, (samples.numel() - self.kernel) // self.stride + 1)
        self._rest = samples[count * self.stride :]
        self._skip += max(0, count * self.stride - samples.numel())
        if count:
            windows = samples.unfold(0, self.kernel, self.stride)  # (count, K)
            self.num_windows += count
            self.window_sum += windows.sum(0)
            self.window_product += windows.T @ windows

    def of_samples(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (), (), float64."""
        mean = self.sum / self.num_samples
        return mean, (self.square / self.num_samples - mean.square()).clamp(min=0)

    def of_convolution(self, conv: nn.Conv1d, offset: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of `conv` on (wav - offset) * scale, float64."""
        mean = self.window_sum / self.num_windows
        covariance = self.window_product / self.num_windows - torch.outer(mean, mean)
        with torch.no_grad():
            on_cpu = copy.deepcopy(conv).to("cpu")
            return channel_moments(on_cpu, scale * (mean - offset), scale.square() * covariance)


def sum_windows(blocks: Iterable[Tensor], kernel: int, stride: int) -> WindowSums:
    """Sums over all blocks of a recording."""
    sums = WindowSums(kernel, stride)
    for block in blocks:
        sums.add(block)
    return sums
