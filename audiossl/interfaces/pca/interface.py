"""An interface without anything to learn by gradient: principal components (Shih and Harwath, 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.ranges import Count
from audiossl.core.types import Features
from audiossl.nn.masking import valid_frames
from audiossl.training.interface import Interface, checked_width


class Pca(Interface):
    """The first principal components of each layer, side by side, `width` of them in total.

    Layers get equal shares, the first ones one more where `width` is not a multiple of L. A layer narrower than its
    share gives what it has, and the others take the rest. Components are centred, not whitened. Their sign is such that
    the largest coefficient is positive. Means and components are buffers: they are in the checkpoint.
    """

    # An affine map, but fitted on frames: means over time have other principal components.
    commutes_with_mean = False

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """How many components there are in all. Null for the width of the first layer."""

    fitted: Tensor

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[0])
        if self.width > sum(self.widths):
            raise ConfigError(f"width={self.width}: the layers have {sum(self.widths)} components together.")
        self.shares = component_shares(self.width, self.widths)
        for layer, (width, share) in enumerate(zip(self.widths, self.shares, strict=True)):
            self.register_buffer(f"mean_{layer}", torch.zeros(width))
            self.register_buffer(f"components_{layer}", torch.zeros(share, width))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def needs_fit(self) -> bool:
        return not bool(self.fitted)

    def fit(self, features: Iterable[Features]) -> None:
        """Estimate means and components from the valid frames of all batches, one batch in memory at a time.

        Raises TrainingError for fewer than two frames or for states that are not finite.
        """
        covariances = [StreamingCovariance(width) for width in self.widths]
        for batch in features:
            for covariance, layer in zip(covariances, batch.layers, strict=True):
                covariance.add(layer[valid_frames(batch.lengths.to(layer.device), layer.shape[1])])
        for number, (covariance, share) in enumerate(zip(covariances, self.shares, strict=True)):
            mean, components = covariance.principal_components(share)
            self.get_buffer(f"mean_{number}").copy_(mean)
            self.get_buffer(f"components_{number}").copy_(components)
        self.fitted.fill_(True)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        if not torch.compiler.is_compiling() and self.needs_fit:  # of what is traced, no value is known
            raise TrainingError(
                "The pca interface has not been fitted: call `fit` on features of the training data, or load a "
                "checkpoint that was saved after it."
            )
        with torch.autocast(layers[0].device.type, enabled=False):
            return torch.cat([self._transform(number, layer) for number, layer in enumerate(layers)], dim=-1)

    def _transform(self, number: int, layer: Tensor) -> Tensor:
        """(B, T, D_l) -> (B, T, share of this layer)."""
        mean, components = self.get_buffer(f"mean_{number}"), self.get_buffer(f"components_{number}")
        return (layer.to(mean.dtype) - mean) @ components.T


class StreamingCovariance:
    """Mean and covariance of rows that arrive in batches, in float64 (Chan, Golub and LeVeque, 1979)."""

    def __init__(self, width: int) -> None:
        self.count: int = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self.scatter = torch.zeros(width, width, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """rows: (N, D)."""
        if not len(rows):
            return
        rows = rows.detach().to("cpu", torch.float64)
        count, mean = rows.shape[0], rows.mean(dim=0)
        centred = rows - mean
        gap, total = mean - self.mean, self.count + count
        self.scatter += centred.T @ centred + torch.outer(gap, gap) * (self.count * count / total)
        self.mean += gap * (count / total)
        self.count = total

    def principal_components(self, num_components: int) -> tuple[Tensor, Tensor]:
        """(D,) mean and (num_components, D) orthonormal rows, by falling variance. Raises TrainingError."""
        if self.count < 2 or not bool(self.scatter.isfinite().all()):
            reason = f"{self.count} frames" if self.count < 2 else "states that are not finite"
            raise TrainingError(f"Principal components cannot be estimated from {reason}; fit on more or other data.")
        _, vectors = torch.linalg.eigh(self.scatter)  # columns, by rising variance
        components = vectors.flip(1).T[:num_components]
        peaks = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        return self.mean, components * peaks.sign()


def component_shares(total: int, widths: Sequence[int]) -> list[int]:
    """How many components each layer gives: shares that differ by one at most, none above the layer's width.

    >>> component_shares(10, [4, 4, 4]), component_shares(10, [2, 8, 8])
    ([4, 3, 3], [2, 4, 4])
    """
    shares = [0] * len(widths)
    left = total
    while left:
        open_layers = [layer for layer, width in enumerate(widths) if shares[layer] < width]
        each, extra = divmod(left, len(open_layers))
        for rank, layer in enumerate(open_layers):
            given = min(each + (rank < extra), widths[layer] - shares[layer])
            shares[layer] += given
            left -= given
    return shares
