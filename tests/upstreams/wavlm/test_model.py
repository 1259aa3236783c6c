"""WavLM: relative positions and their gates."""

from __future__ import annotations

import torch
from toys.engines import TINY

from audiossl import load_upstream
from audiossl.upstreams.wavlm.model import GatedBlock, distance_buckets


def test_distance_buckets_at_their_boundaries() -> None:
    distances = torch.tensor([-5000, -778, -777, -81, -80, -79, -1, 0, 1, 80])
    assert distance_buckets(distances, 320, 800).tolist() == [159, 159, 158, 80, 80, 79, 1, 0, 161, 240]


def test_each_direction_has_half_of_the_buckets() -> None:
    distances = torch.arange(-3000, 3001)
    buckets = distance_buckets(distances, 32, 128)
    assert set(buckets[distances <= 0].tolist()) == set(range(16))
    assert set(buckets[distances > 0].tolist()) == set(range(17, 32))  # distance 0 is in the other half
    assert bool((buckets[distances > 0].diff() >= 0).all())


def test_the_gate_is_that_of_the_paper() -> None:
    """g = u (r s - 1) + 2 with u and r from the head's share of the input (section 3.1, eq. 5 to 7)."""
    torch.manual_seed(0)
    block = GatedBlock(12, 3, 16, pre_norm=False)
    torch.nn.init.normal_(block.gate_scale)
    x = torch.randn(5, 12)
    for head in range(3):
        logits = block.gates(x[:, 4 * head : 4 * head + 4])
        update, reset = logits[:, :4].sum(1).sigmoid(), logits[:, 4:].sum(1).sigmoid()
        expected = update * (reset * block.gate_scale[head] - 1) + 2
        torch.testing.assert_close(block.gate(x)[:, head], expected)


def test_biases_follow_the_distance_alone() -> None:
    encoder = load_upstream("wavlm", weights="random", **TINY)
    biases = encoder.by_distance(6)
    assert biases.shape == (TINY["num_heads"], 11)
    assert torch.equal(biases[:, 3:8], encoder.by_distance(3))
