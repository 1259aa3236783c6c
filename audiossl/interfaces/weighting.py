"""Interfaces that choose or weight layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.layer_sum import may_be_summed, sum_of_layers
from audiossl.training.interface import Interface


def project(linear: nn.Module, x: Tensor) -> Tensor:
    """A linear layer on states that may have another dtype, as those of a bfloat16 encoder have."""
    if isinstance(linear, nn.Linear) and not torch.is_autocast_enabled(x.device.type):
        x = x.to(linear.weight.dtype)
    projected: Tensor = linear(x)
    return projected


def linear_or_identity(width: int, new_width: int) -> nn.Module:
    """A projection where the widths differ, nothing where they are equal."""
    return nn.Identity() if width == new_width else nn.Linear(width, new_width)


def checked_width(width: int | None, natural: int) -> int:
    """The output width that is asked for, or the natural one for None. Raises ConfigError for less than 1."""
    if width is not None and width < 1:
        raise ConfigError(f"width={width}: an interface needs a width of at least 1, or none for {natural}.")
    return natural if width is None else width


class Layer(Interface):
    """One layer; negative indices count from the end. Its natural width is its own."""

    commutes_with_mean = True
    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: int | None = None
        index: int = -1

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
        width: int | None = None

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[-1])
        self.projection = linear_or_identity(self.widths[-1], self.width)

    @property
    def up_to_layer(self) -> int:
        return len(self.widths) - 1

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return project(self.projection, layers[self.up_to_layer])


class SoftmaxSum(nn.Module):
    """sum_l softmax(logits)_l x_l, added up layer by layer: the layers are never stacked, nor copied for the gradient.

    logits: (L,), zero at first, so that it starts as the mean. normalize: each layer is first brought to mean 0 and
    variance 1 over its channels. With r = 1 / sqrt(var + eps), w r (x - mean) = (w r) x - w r mean, which keeps a
    normalised copy of no layer. stacked: float32 layers are summed by one product as well, which rounds otherwise.
    """

    def __init__(self, num_layers: int, normalize: bool) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_layers), requires_grad=num_layers > 1)  # one layer: always 1
        self.normalize = normalize

    @property
    def weights(self) -> Tensor:
        """(L,) positive, of sum 1."""
        return self.logits.softmax(dim=0)

    def forward(self, layers: Sequence[Tensor], stacked: bool = False) -> Tensor:
        if not self.normalize and may_be_summed(layers, of_any_type=stacked):
            return sum_of_layers(self.weights.float(), layers, of_any_type=stacked)
        total: Tensor | float = 0.0
        for weight, layer in zip(self.weights.split(1), layers, strict=True):
            # The weight has shape (1,), not (): a product with half-precision states then comes out in float32.
            total = total + (self._normalized(weight, layer) if self.normalize else weight * layer)
        assert isinstance(total, Tensor)
        return total

    @staticmethod
    def _normalized(weight: Tensor, layer: Tensor, eps: float = 1e-5) -> Tensor:
        variance, mean = torch.var_mean(layer.float(), dim=-1, correction=0, keepdim=True)
        scale = weight * torch.rsqrt(variance + eps)
        return scale * layer - scale * mean


class WeightedSum(Interface):
    """Softmax-weighted sum of all layers, one weight a layer (SUPERB).

    Layers of another width than the first are projected to the common one, which is `width` where that is given.
    """

    stackable = True

    @dataclass(frozen=True)
    class Config:
        """normalize: parameter-free layer norm of each layer before the sum (off in SUPERB)."""

        width: int | None = None
        normalize: bool = False

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[0])
        self.commutes_with_mean = not self.config.normalize
        common = self.widths[0] if len(set(self.widths)) == 1 else self.width
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.sum = SoftmaxSum(len(self.widths), self.config.normalize)
        self.projection = linear_or_identity(common, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        return project(self.projection, self.sum(aligned, self.stacked))

    def layer_weights(self) -> dict[str, list[float]]:
        return {"layers": self.sum.weights.tolist()}


class GroupedWeightedSum(Interface):
    """A weighted sum for each of `num_groups` runs of neighbouring layers, concatenated and projected to `width`.

    The groups differ by one layer at most, the longer ones first. With fewer layers than groups, each layer is its
    own group; a single group of natural width is not projected (it is `weighted_sum`).
    """

    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: int | None = None
        num_groups: int = 2
        normalize: bool = False

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        if self.config.num_groups < 1:
            raise ConfigError(f"num_groups={self.config.num_groups}: at least one group of layers is needed.")
        self.width = checked_width(self.config.width, self.widths[0])
        self.commutes_with_mean = not self.config.normalize
        self.groups = contiguous_groups(len(self.widths), min(self.config.num_groups, len(self.widths)))
        common = self.widths[0]
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.sums = nn.ModuleList(SoftmaxSum(len(group), self.config.normalize) for group in self.groups)
        self.projection = linear_or_identity(common * len(self.groups), self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        groups = [[aligned[layer] for layer in group] for group in self.groups]
        sums = [summed(group, self.stacked) for summed, group in zip(self.sums, groups, strict=True)]
        return project(self.projection, torch.cat(sums, dim=-1))

    def layer_weights(self) -> dict[str, list[float]]:
        """Weights within each group, named by its layers, for instance 'layers 0-6'."""
        names = [f"layers {group[0]}-{group[-1]}" for group in self.groups]
        sums = [summed for summed in self.sums if isinstance(summed, SoftmaxSum)]
        return {name: summed.weights.tolist() for name, summed in zip(names, sums, strict=True)}


def contiguous_groups(num_layers: int, num_groups: int) -> list[range]:
    """Layers 0 to L-1 in runs whose lengths differ by at most one.

    >>> contiguous_groups(5, 2)
    [range(0, 3), range(3, 5)]
    """
    short, num_longer = divmod(num_layers, num_groups)
    starts = [group * short + min(group, num_longer) for group in range(num_groups + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
