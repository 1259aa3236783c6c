"""The permutation-invariant loss against every permutation tried one by one."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from audiossl.downstreams.diarization.permutation import best_permutations, pairwise_costs


@pytest.mark.parametrize("num_speakers", [1, 2, 3, 4])
def test_equal_to_brute_force(num_speakers: int) -> None:
    draw = torch.Generator().manual_seed(num_speakers)
    logits = 3 * torch.randn(5, 12, num_speakers, generator=draw, dtype=torch.float64)
    activity = (torch.rand(logits.shape, generator=draw) < 0.5).double()
    lengths = torch.tensor([12, 3, 7, 1, 12])
    valid = torch.arange(12) < lengths[:, None]
    logits[~valid] = float("inf")  # what lies in padding does not matter
    least, order = best_permutations(pairwise_costs(logits, activity, valid))
    for item, length in enumerate(lengths.tolist()):
        found, wanted = logits[item, :length], activity[item, :length]
        losses = {
            each: float(binary_cross_entropy_with_logits(found, wanted[:, list(each)], reduction="sum"))
            for each in permutations(range(num_speakers))
        }
        assert float(least[item]) == pytest.approx(min(losses.values()))
        assert losses[tuple(order[item].tolist())] == pytest.approx(min(losses.values()))


def test_the_order_of_speakers_does_not_matter_and_gradients_flow() -> None:
    logits = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    activity, valid = (torch.rand(2, 9, 3) < 0.5).float(), torch.ones(2, 9, dtype=torch.bool)
    one, _ = best_permutations(pairwise_costs(logits, activity, valid))
    other, _ = best_permutations(pairwise_costs(logits, activity[..., [2, 0, 1]], valid))
    assert torch.allclose(one, other)
    one.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.any())
