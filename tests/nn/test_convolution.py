"""Convolutions in bfloat16 against float32 from the same rounded numbers, over the shapes that kernels treat apart."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl.encoders.testing import relative_distance
from audiossl.nn.convolution import convolve

ROUNDING = 0.004  # of a bfloat16: 2 ** -8


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


# Inputs a group, taps: the first three are wrong in oneDNN 3.10.2 on a CPU with amx_bf16, (16, 16), (24, 8) and
# (30, 32) too where frames are strided.
SHAPES = [(12, 16), (8, 8), (4, 32), (12, 7), (1, 64), (16, 16), (24, 8), (30, 32), (32, 16), (48, 128)]


@pytest.mark.parametrize(("inputs", "taps"), SHAPES)
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 4, 8, 16])
def test_bfloat16_equals_float32_up_to_rounding(inputs: int, taps: int, groups: int, stride: int) -> None:
    x, weight = numbers(2, inputs * groups, 60), numbers(inputs * groups, inputs, taps, seed=1)
    bias = numbers(inputs * groups, seed=2)
    shape = {"padding": taps // 2, "groups": groups, "stride": stride}
    made = convolve(x, weight, bias, **shape)
    assert made.dtype == torch.bfloat16
    assert relative_distance(made, F.conv1d(x.float(), weight.float(), bias.float(), **shape)) < ROUNDING


@pytest.mark.parametrize("stride", [1, 4])
def test_autocast_counts_as_bfloat16(stride: int) -> None:
    x, weight = numbers(1, 12, 60).float(), numbers(12, 12, 16, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        made = convolve(x, weight, stride=stride)
    assert made.dtype == torch.bfloat16
    assert relative_distance(made, F.conv1d(x, weight, stride=stride)) < ROUNDING


def test_gradients_of_a_narrow_convolution() -> None:
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        x, weight = (t.to(dtype).requires_grad_() for t in (numbers(1, 8, 40), numbers(8, 8, 8, seed=1)))
        convolve(x, weight).backward(numbers(1, 8, 33, seed=2).to(dtype))
        found.append((x.grad, weight.grad))
    for half, single in zip(*found, strict=True):
        assert half is not None
        assert single is not None
        assert half.dtype == torch.bfloat16
        assert relative_distance(half, single) < ROUNDING


def test_float32_is_left_to_torch() -> None:
    x, weight = numbers(1, 8, 40).float(), numbers(8, 8, 8, seed=1).float()
    assert torch.equal(convolve(x, weight, padding=4), F.conv1d(x, weight, padding=4))


def test_a_graph_for_others_has_inputs_enough_and_gives_the_same() -> None:
    class Narrow(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return convolve(x, weight, padding=4, groups=2)

    x, weight = numbers(1, 16, 40).float(), numbers(16, 8, 8, seed=1).float()
    graph = torch.export.export(Narrow(), (x, weight), strict=False).module()
    torch.testing.assert_close(graph(x, weight), F.conv1d(x, weight, padding=4, groups=2))
    (used,) = [node.args[1].meta["val"].shape for node in graph.graph.nodes if "conv1d" in str(node.target)]
    assert used == (16, 32, 8)
