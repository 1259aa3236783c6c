"""Sums of frozen halves: their value, their gradient, and any memory layout, a piece at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiossl.encoders.testing import relative_distance
from audiossl.nn import layer_sum
from audiossl.nn.layer_sum import may_be_summed, sum_of_layers


@pytest.fixture(params=["one piece", "many pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many pieces":
        monkeypatch.setattr(layer_sum, "_PIECE", {"cpu": 7})


def halves(contiguous: bool, dtype: torch.dtype) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    made = [torch.randn(2, 5, 6, generator=draw).to(dtype) for _ in range(4)]
    return made if contiguous else [layer.transpose(1, 2).contiguous().transpose(1, 2) for layer in made]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("contiguous", [True, False])
def test_value_and_gradient(contiguous: bool, dtype: torch.dtype) -> None:
    layers = halves(contiguous, dtype)
    results = []
    for run in (sum_of_layers, lambda w, xs: (w[:, None, None, None] * torch.stack(xs).float()).sum(0)):
        weights = torch.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
        y = run(weights, layers)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        results.append((y, weights.grad))
    assert results[0][0].dtype == torch.float32
    for made, expected in zip(*results, strict=True):
        assert made is not None
        assert expected is not None
        assert relative_distance(made, expected) < 1e-5


def test_only_frozen_halves_are_summed_so() -> None:
    layers = halves(True, torch.float16)
    assert may_be_summed(layers)
    assert not may_be_summed([layer.float() for layer in layers])
    assert not may_be_summed([*layers[1:], layers[0].clone().requires_grad_()])
