"""Binary cross entropy that does not depend on the order of the speakers (Fujita et al., 2019, equation 2).

Of logits l (T, N) and activities y (T, N), with output i for speaker j,

    cost(i, j) = sum_t softplus(l_ti) - l_ti y_tj,

so that the costs of all pairs are one product of matrices, and those of a permutation are N of them.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from torch import Tensor, nn


def pairwise_costs(logits: Tensor, activity: Tensor, valid: Tensor) -> Tensor:
    """(B, N, N) binary cross entropy of output i for speaker j, summed over the valid frames.

    logits: (B, T, N).
    activity: (B, T, N) 0 or 1.
    valid: (B, T) bool.
    """
    kept = torch.where(valid[..., None], logits, logits.new_zeros(()))
    alone = (nn.functional.softplus(kept) * valid[..., None]).sum(dim=1)  # (B, N)
    return alone[:, :, None] - kept.transpose(1, 2) @ activity.to(kept)


def best_permutations(costs: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) the least cost over all permutations, and (B, N) the speaker of each output in that one.

    costs: (B, N, N) of output i for speaker j.
    """
    orders = _orders(costs.shape[-1]).to(costs.device)  # (P, N)
    outputs = torch.arange(costs.shape[-1], device=costs.device)
    least, which = costs[:, outputs, orders].sum(dim=-1).min(dim=-1)
    return least, orders[which]


@cache
def _orders(count: int) -> Tensor:
    return torch.tensor(list(permutations(range(count))), dtype=torch.int64).reshape(-1, count)
