"""From a sequence to one vector, over the real frames only.

Padding never changes a result: frames beyond an item's length are replaced (not multiplied by zero, which would let a
NaN through) before anything is summed. Sums run in float32 at least and come back in the input's dtype, so that half
precision neither overflows nor drops frames of a long recording. An item of length 0 counts as length 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from audiossl.errors import ConfigError, did_you_mean
from audiossl.nn.masking import valid_frames


class Pooling(nn.Module, ABC):
    """x (B, T, width), lengths (B,) frames -> (B, out_width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @property
    def out_width(self) -> int:
        return self.width

    @abstractmethod
    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, D) float32 or wider, valid (B, T, 1) bool with at least one True an item -> (B, out_width)."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        lengths = lengths.to(x.device).clamp(min=1)
        valid = valid_frames(lengths, x.shape[1])[..., None]
        wide = torch.promote_types(x.dtype, torch.float32)
        # Autocast is switched off: it would undo the float32 in the attention's product.
        with torch.autocast(x.device.type, enabled=False):
            return self.pool(torch.where(valid, x, x.new_zeros(())).to(wide), valid).to(x.dtype)


class MeanPooling(Pooling):
    """Mean over time; nothing to learn."""

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        return x.sum(dim=1) / valid.sum(dim=1)


class MaxPooling(Pooling):
    """Maximum over time of each channel; nothing to learn."""

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        return torch.where(valid, x, x.new_full((), -torch.inf)).amax(dim=1)


class AttentionPooling(Pooling):
    """Weighted mean over time; a linear layer scores each frame (self-attention pooling, Safari et al., 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.score = nn.Linear(width, 1)

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        scores = nn.functional.linear(x, self.score.weight.to(x.dtype), self.score.bias.to(x.dtype))  # (B, T, 1)
        weights = torch.where(valid, scores, scores.new_full((), -torch.inf)).softmax(dim=1)
        return (weights * x).sum(dim=1)


class StatisticsPooling(Pooling):
    """Mean and standard deviation over time, concatenated (x-vectors, Snyder et al., 2018).

    The deviation is the unbiased one, sqrt(sum (x - mean)^2 / (T - 1)), as in SUPERB. One frame has none: it is
    defined as 0 there (the divisor is at least 1). The variance is floored at 1e-10, since the root has an infinite
    slope at 0.
    """

    @property
    def out_width(self) -> int:
        return 2 * self.width

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        num_frames = valid.sum(dim=1)  # (B, 1)
        mean = x.sum(dim=1) / num_frames
        deviations = torch.where(valid, x - mean[:, None], x.new_zeros(()))
        variance = deviations.square().sum(dim=1) / (num_frames - 1).clamp(min=1)
        return torch.cat([mean, variance.clamp(min=1e-10).sqrt()], dim=-1)


POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": AttentionPooling,
    "statistics": StatisticsPooling,
}


def make_pooling(name: str, width: int) -> Pooling:
    """A pooling by name for sequences of `width`. Raises ConfigError for an unknown name."""
    if name not in POOLINGS:
        raise ConfigError(f"There is no pooling named {name!r}. {did_you_mean(name, POOLINGS)}")
    return POOLINGS[name](width)
