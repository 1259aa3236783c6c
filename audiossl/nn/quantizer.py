"""A vector quantiser that is learnt by gradient: product codes chosen by a Gumbel softmax (arXiv:1611.01144).

wav2vec 2.0 (arXiv:2006.11477, section 2 and 3.2) takes its targets from one. With logits l, Gumbel noise n and
temperature tau the code of a group is argmax (l + n), and its gradient that of softmax((l + n) / tau). Noise is passed
in, so that each item's can be drawn by a generator of its own. Without noise the code is argmax l.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.draws import generator_on


class Quantized(NamedTuple):
    """What a quantiser makes of vectors, whose dimensions before the last are `...`.

    vectors: (..., D), the chosen entries of all groups, one beside the other.
    codes: (..., G), their numbers.
    probabilities: (..., G, V), the softmax of the logits alone, without noise and temperature.
    errors: (...), what its entries are trained by where the gradient of the vectors does not reach them.
    """

    vectors: Tensor
    codes: Tensor
    probabilities: Tensor
    errors: Tensor | None = None


class GumbelQuantizer(nn.Module):
    """G codebooks of V entries, each of D / G numbers, and a linear layer that gives the logits of all.

    num_inputs: F, width of what is quantised.
    groups: G.
    codes: V.
    width: D of a quantised vector.
    shared: whether all groups have one codebook in common.
    hidden: units of a layer before that of the logits, 0 for none.
    activation: between the two.
    """

    def __init__(
        self,
        num_inputs: int,
        groups: int,
        codes: int,
        width: int,
        *,
        shared: bool = False,
        hidden: int = 0,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.groups, self.codes = groups, codes
        self.logits: nn.Module
        if hidden:
            between = activation or nn.GELU()
            self.logits = nn.Sequential(nn.Linear(num_inputs, hidden), between, nn.Linear(hidden, groups * codes))
        else:
            self.logits = linear = nn.Linear(num_inputs, groups * codes)
            nn.init.normal_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.entries = nn.Parameter(torch.empty(codebook_shape(groups, codes, width, shared)).uniform_())

    def forward(self, x: Tensor, temperature: float = 1.0, noise: Tensor | None = None) -> Quantized:
        """x (..., F). noise (..., G, V) is Gumbel noise, None for the most probable codes."""
        logits = self.logits(x).float().unflatten(-1, (self.groups, self.codes))
        noisy = logits if noise is None else logits + noise
        codes = noisy.argmax(-1)
        # The value is one-hot exactly, so that equal codes give equal vectors, and the gradient that of the softmax.
        soft = (noisy / temperature).softmax(-1)
        hard = torch.zeros_like(soft).scatter(-1, codes[..., None], 1.0) + (soft - soft.detach())
        entries = self.entries.to(hard.dtype).expand(self.groups, -1, -1)
        vectors = torch.einsum("...gv,gvd->...gd", hard, entries).flatten(-2)
        return Quantized(vectors, codes, logits.softmax(-1))


def codebook_shape(groups: int, codes: int, width: int, shared: bool) -> tuple[int, int, int]:
    """Codebooks, entries of each, and numbers of an entry. Raises ConfigError for a width that groups do not divide.

    groups: G.
    codes: V.
    width: D of a quantised vector.
    shared: whether all groups have one codebook in common.
    """
    if width % groups:
        raise ConfigError(f"A quantised vector of {width} numbers cannot be cut into {groups} groups of one size.")
    return 1 if shared else groups, codes, width // groups


def gumbel_noise(
    counts: Sequence[int],
    groups: int,
    codes: int,
    draws: Sequence[torch.Generator],
    device: torch.device | str = "cpu",
) -> Tensor:
    """(sum of counts, G, V) Gumbel noise, that of each item by its own generator.

    counts: vectors of each item.
    groups: G.
    codes: V.
    draws: one generator on the CPU an item.
    device: where it is drawn, by numbers of the device's own kind.
    """
    rows = [
        torch.empty(count, groups, codes, device=device).exponential_(generator=generator_on(device, draw))
        for count, draw in zip(counts, draws, strict=True)
    ]
    return -torch.cat(rows).log()


def code_perplexity(mean: Tensor) -> Tensor:
    """Mean probabilities (..., G, V) -> (...), the effective number of codes summed over groups: sum_g exp(H_g)."""
    # A softmax may underflow to 0, where the logarithm's gradient would not be finite.
    entropy = -(mean * mean.clamp(min=torch.finfo(mean.dtype).tiny).log()).sum(-1)
    return entropy.exp().sum(-1)


def item_means(x: Tensor, counts: Tensor) -> Tensor:
    """Rows (N, ...) of B items, one after the other, counts (B,) of each -> (B, ...), 0 where an item has none."""
    owners = torch.repeat_interleave(torch.arange(len(counts), device=x.device), counts, output_size=len(x))
    sums = x.new_zeros((len(counts), *x.shape[1:])).index_add(0, owners, x)
    means: Tensor = sums / counts.clamp(min=1).to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    return means


def code_usage(codes: Tensor, size: int) -> Tensor:
    """(N, G) codes of V = `size` each -> (), the share of all G V entries that occur."""
    groups = codes.shape[1]
    numbers = codes + size * torch.arange(groups, device=codes.device)
    found = torch.zeros(groups * size, device=codes.device).index_fill(0, numbers.flatten(), 1.0)
    return found.mean()
