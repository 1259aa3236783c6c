"""Learnt weighted means of layers (SUPERB, Yang et al., 2021, arXiv:2105.01051)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count
from audiossl.nn.layer_sum import may_be_summed, sum_of_layers
from audiossl.nn.linear import linear_or_identity, project
from audiossl.training.interface import Interface, checked_width


class SoftmaxSum(nn.Module):
    """sum_l softmax(logits)_l x_l, added up layer by layer: the layers are never stacked, nor copied for the gradient.

    With r = 1 / sqrt(var + eps), w r (x - mean) = (w r) x - w r mean, which keeps a normalised copy of no layer.

    logits: (L,), zero at first, so that it starts as the mean.
    normalize: each layer is first brought to mean 0 and variance 1 over its channels.
    stacked: of `forward`. Float32 layers are summed by one product as well, which rounds otherwise.
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

    Layers of several widths are all projected to `width`, or to that of the first where it is not given.
    """

    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer."""
        normalize: bool = False
        """Whether each layer goes through a layer norm without parameters before the sum, which SUPERB leaves out."""

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
    own group. A single group of natural width is not projected (it is `weighted_sum`).
    """

    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer."""
        num_groups: Count = 2
        """How many groups of neighbouring layers have a sum of their own."""
        normalize: bool = False
        """Whether each layer goes through a layer norm without parameters before the sums."""

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


class ParallelSums(Interface):
    """Several weighted sums of all layers side by side, each with weights of its own.

    Two are the keys and values of MHFA (Peng et al., 2022, arXiv:2210.01273). Projected to `width`, they are one.
    """

    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer, once for each sum, which a head can then read
        apart."""
        num_sums: Count = 2
        """How many sums there are."""
        normalize: bool = False
        """Whether each layer goes through a layer norm without parameters before the sums."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        common, num_sums = self.widths[0], self.config.num_sums
        self.width = checked_width(self.config.width, num_sums * common)
        self.commutes_with_mean = not self.config.normalize
        self.num_parts = num_sums if self.width == num_sums * common else 1
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.sums = nn.ModuleList(SoftmaxSum(len(self.widths), self.config.normalize) for _ in range(num_sums))
        self.projection = linear_or_identity(num_sums * common, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        return project(self.projection, torch.cat([summed(aligned, self.stacked) for summed in self.sums], dim=-1))

    def layer_weights(self) -> dict[str, list[float]]:
        """Weights of each sum, named by its number."""
        sums = [summed for summed in self.sums if isinstance(summed, SoftmaxSum)]
        return {f"sum {number}": summed.weights.tolist() for number, summed in enumerate(sums, start=1)}


def contiguous_groups(num_layers: int, num_groups: int) -> list[range]:
    """Layers 0 to L-1 in runs whose lengths differ by at most one.

    >>> contiguous_groups(5, 2)
    [range(0, 3), range(3, 5)]
    """
    short, num_longer = divmod(num_layers, num_groups)
    starts = [group * short + min(group, num_longer) for group in range(num_groups + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
