"""From a sequence to one vector, over the real frames only.

Padding never changes a result: frames beyond an item's length are replaced (not multiplied by zero, which would let a
NaN through) before anything is summed. Sums run in float32 at least and come back in the input's dtype, so that half
precision neither overflows nor drops frames of a long recording. An item of length 0 counts as length 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, did_you_mean
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
    """Mean over time, with nothing to learn."""

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        return x.sum(dim=1) / valid.sum(dim=1)


class MaxPooling(Pooling):
    """Maximum over time of each channel, with nothing to learn."""

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        return torch.where(valid, x, x.new_full((), -torch.inf)).amax(dim=1)


class AttentionPooling(Pooling):
    """Weighted mean over time, for which a linear layer scores each frame (Safari et al., 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.score = nn.Linear(width, 1)

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        scores = _linear(self.score, x)  # (B, T, 1)
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


class AttentiveStatisticsPooling(Pooling):
    """Weighted mean and standard deviation over time, concatenated. Each channel has weights of its own.

    A frame's scores come from the frame and from the recording's mean and deviation through `hidden` units, as in
    ECAPA-TDNN (Desplanques et al., 2020, section 3.3, after the attention over statistics of Okabe et al., 2018).
    Between the two layers is a tanh alone. Published code has a ReLU and batch normalisation before it, which
    `audiossl/nn/ecapa.py` follows. One frame has a deviation of 0.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__(width)
        self.hidden = nn.Linear(3 * width, hidden)
        self.score = nn.Linear(hidden, width)

    @property
    def out_width(self) -> int:
        return 2 * self.width

    def pool(self, x: Tensor, valid: Tensor) -> Tensor:
        even = (valid / valid.sum(dim=1, keepdim=True)).to(x.dtype)  # (B, T, 1)
        context = torch.cat(_moments(x, even), dim=-1)[:, None].expand(-1, x.shape[1], -1)  # (B, T, 2 D)
        hidden = _linear(self.hidden, torch.cat([x, context], dim=-1)).tanh()
        scores = _linear(self.score, hidden)  # (B, T, D)
        weights = torch.where(valid, scores, scores.new_full((), -torch.inf)).softmax(dim=1)
        return torch.cat(_moments(x, weights), dim=-1)


def _moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (B, D) of x (B, T, D) with weights (B, T, 1 or D) that sum to 1 over time.

    The deviation is at least 1e-5, whose gradient is 0: the root of 0 has none.
    """
    mean = (weights * x).sum(dim=1)
    variance = (weights * (x - mean[:, None]).square()).sum(dim=1)
    return mean, variance.clamp(min=1e-10).sqrt()


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """In the dtype of x, whatever the layer's."""
    return nn.functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": AttentionPooling,
    "statistics": StatisticsPooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}


def make_pooling(name: str, width: int) -> Pooling:
    """A pooling by name for sequences of `width`. Raises ConfigError for an unknown name."""
    if name not in POOLINGS:
        raise ConfigError(f"There is no pooling named {name!r}. {did_you_mean(name, POOLINGS)}")
    return POOLINGS[name](width)


def statistics_of(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean and deviation over time (B, 2 D), in single precision, of states (B, T, D) with lengths (B,) frames."""
    pooled: Tensor = StatisticsPooling(states.shape[-1])(states.float(), lengths)
    return pooled
