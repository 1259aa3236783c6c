"""Layers brought to mean 0 and variance 1, dimension by dimension, by statistics of training rows.

A head learns at one rate for all dimensions, and their scales differ by orders of magnitude, between layers and within
one (log mel frames lie around -8). z = (x - mean) / deviation takes that out. It is fixed before the first step, and
affine, so that it commutes with the mean over time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from audiossl.core.errors import TrainingError
from audiossl.core.types import Features
from audiossl.nn.masking import valid_frames

Unit = Literal["recordings", "frames"]

# Both are errors of 2 % of a deviation or less, while an encoder runs for a minute rather than for an epoch.
NUM_ROWS = 1000
# What varies by no more than float32 rounds, such as means of frames that have none, is constant.
_NOISE = 1e-5


class Standardization(nn.Module):
    """(x - mean) / deviation of each dimension of those layers that are read. The others pass as they are.

    widths: of all layers.
    layers: the numbers of those that are read.
    unit: what is counted. 'recordings' takes the mean and deviation of recordings' means over time, which is what a
    head sees that averages. Frames vary more than their means, several times in long recordings. 'frames' takes those
    of all frames.
    """

    fitted: Tensor

    def __init__(self, widths: Sequence[int], layers: Sequence[int], unit: Unit) -> None:
        super().__init__()
        self.layers, self.unit = tuple(layers), unit
        for layer in self.layers:
            self.register_buffer(f"mean_{layer}", torch.zeros(widths[layer]))
            self.register_buffer(f"deviation_{layer}", torch.ones(widths[layer]))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def needs_fit(self) -> bool:
        return not bool(self.fitted)

    def fit(self, features: Iterable[Features]) -> None:
        """Estimate from the first batches of training rows, one in memory at a time, up to about `NUM_ROWS` rows.

        The number does not depend on whether hidden states are cached, which must not change a result.
        """
        moments = {layer: StreamingMoments(self.get_buffer(f"mean_{layer}").shape[0]) for layer in self.layers}
        num_rows = 0
        for batch in features:
            for layer, sums in moments.items():
                sums.add(self._counted(batch.layers[layer], batch.lengths))
            num_rows += len(batch.lengths)
            if num_rows >= NUM_ROWS:
                break
        for layer, sums in moments.items():
            self.get_buffer(f"mean_{layer}").copy_(sums.mean)
            self.get_buffer(f"deviation_{layer}").copy_(sums.deviation())
        self.fitted.fill_(True)

    def forward(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """L tensors (B, T, D_l) -> the same, in the type in which they came, computed in float32."""
        if not torch.compiler.is_compiling() and self.needs_fit:  # of what is traced, no value is known
            raise TrainingError(
                "The standardisation of layers has not been fitted: call `fit` of the task on training batches, or "
                "load a checkpoint that was saved after it."
            )
        made = list(layers)
        for layer in self.layers:
            if layer < len(made):  # an encoder may have stopped before
                made[layer] = self._standardized(layer, made[layer])
        return made

    def _standardized(self, layer: int, states: Tensor) -> Tensor:
        mean, deviation = self.get_buffer(f"mean_{layer}"), self.get_buffer(f"deviation_{layer}")
        return ((states.to(mean.dtype) - mean) / deviation).to(states.dtype)

    def _counted(self, states: Tensor, lengths: Tensor) -> Tensor:
        """(N, D) of states (B, T, D): a row for each recording or for each frame, without padding."""
        valid = valid_frames(lengths.to(states.device), states.shape[1])
        if self.unit == "frames":
            return states[valid]
        sums = torch.where(valid[..., None], states.float(), 0.0).sum(dim=1)
        return sums / lengths.to(states.device).clamp(min=1)[:, None]


class StreamingMoments:
    """Mean and deviation of rows that arrive in batches, in float64 (Chan, Golub and LeVeque, 1979)."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self.scatter = torch.zeros(width, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """rows: (N, D)."""
        if not len(rows):
            return
        rows = rows.detach().to("cpu", torch.float64)
        count, mean = len(rows), rows.mean(dim=0)
        gap, total = mean - self.mean, self.count + len(rows)
        self.scatter += (rows - mean).square().sum(dim=0) + gap.square() * (self.count * count / total)
        self.mean += gap * (count / total)
        self.count = total

    def deviation(self) -> Tensor:
        """(D,), with 1 where a dimension is constant but for rounding."""
        found = (self.scatter / max(self.count, 1)).sqrt()
        constant = found <= _NOISE * self.mean.abs().clamp(min=1)
        return torch.where(constant, 1.0, found)
