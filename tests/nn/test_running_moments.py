"""Sums over the blocks of a recording give the moments of the whole, however it is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audiossl.nn.running_moments import WindowSums, sum_windows


@pytest.fixture
def wav() -> Tensor:
    return 0.3 * torch.randn(5003, generator=torch.Generator().manual_seed(0)) + 0.2


@pytest.mark.parametrize("size", [1, 7, 400, 5003])
def test_moments_of_samples_and_of_a_convolution(wav: Tensor, size: int) -> None:
    sums = sum_windows(wav.split(size), 10, 5)
    mean, variance = sums.of_samples()
    assert float(mean) == pytest.approx(float(wav.double().mean()), abs=1e-12)
    assert float(variance) == pytest.approx(float(wav.double().var(correction=0)), abs=1e-12)
    torch.manual_seed(0)
    conv = nn.Conv1d(1, 6, 10, 5)
    offset, scale = torch.tensor(0.1, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    means, variances = sums.of_convolution(conv, offset, scale)
    with torch.no_grad():
        channels = conv.double()(((wav.double() - offset) * scale)[None, None])[0]  # (C, T)
    assert torch.allclose(means, channels.mean(1), atol=1e-10)
    assert torch.allclose(variances, channels.var(1, correction=0), atol=1e-10)


@pytest.mark.parametrize(("kernel", "stride"), [(10, 5), (3, 4), (4, 4), (2, 30)])
def test_a_window_may_begin_in_the_block_before(wav: Tensor, kernel: int, stride: int) -> None:
    whole, parts = WindowSums(kernel, stride), WindowSums(kernel, stride)
    whole.add(wav)
    for block in wav.split(13):
        parts.add(block)
    assert parts.num_windows == whole.num_windows == (len(wav) - kernel) // stride + 1
    assert torch.allclose(parts.window_product, whole.window_product)


def test_the_convolution_is_left_as_it_was(wav: Tensor) -> None:
    conv = nn.Conv1d(1, 2, 10, 5)
    before = conv.weight.detach().clone()
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    found = sum_windows([wav], 10, 5).of_convolution(conv, zero, one)
    assert torch.equal(conv.weight, before)
    assert not any(value.requires_grad for value in found)


def test_silence_has_no_negative_variance() -> None:
    mean, variance = sum_windows([torch.full((100,), 0.1)], 10, 5).of_samples()
    assert float(mean) == pytest.approx(0.1)
    assert 0 <= float(variance) < 1e-12
