"""Layers over time: each item as if it were alone, and statistics of real frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiossl.nn.frame_layers import (
    FrameConvolution,
    FrameConvolution2d,
    FrameNorm,
    VectorNorm,
    mean_over_time,
    zero_beyond,
)

LENGTHS = torch.tensor([9, 1, 6])


def noise(*shape: int) -> torch.Tensor:
    """(B, ..., T) with nothing in the padding that could be used."""
    x = torch.randn(len(LENGTHS), *shape, int(LENGTHS.max()), generator=torch.Generator().manual_seed(0))
    for item, length in zip(x, LENGTHS, strict=True):
        item[..., length:] = torch.nan
    return x


def test_zeros_and_means() -> None:
    x = noise(3, 2)
    assert zero_beyond(x, LENGTHS)[1, ..., 1:].abs().max() == 0
    for item, length, mean in zip(x, LENGTHS, mean_over_time(x, LENGTHS), strict=True):
        torch.testing.assert_close(mean, item[..., :length].mean(dim=-1))
    assert mean_over_time(x.bfloat16(), LENGTHS).dtype == torch.float32


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_a_convolution_meets_zeros_beyond_each_item(two_dimensional: bool) -> None:
    torch.manual_seed(0)
    layer = FrameConvolution2d(3, 4, 5, stride=2) if two_dimensional else FrameConvolution(3, 4, 3, dilation=2)
    x = noise(3, 6) if two_dimensional else noise(3)
    made = layer(x, LENGTHS)
    assert made.shape == (3, 4, 3, 9) if two_dimensional else (3, 4, 9)
    for item, length, found in zip(x, LENGTHS, made, strict=True):
        padded = nn.functional.pad(item[None, ..., :length], (0, 20))
        torch.testing.assert_close(found[..., :length], layer.conv(padded)[0, ..., :length])


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_statistics_are_those_of_real_frames(shape: tuple[int, ...]) -> None:
    layer, plain, x = FrameNorm(3).train(), nn.BatchNorm1d(3), noise(*shape)
    real = torch.cat([item[..., :length] for item, length in zip(x, LENGTHS, strict=True)], dim=-1)  # (C, ..., N)
    expected = plain(real.movedim(-1, 0))
    made = layer(x, LENGTHS)
    found = torch.cat([item[..., :length] for item, length in zip(made, LENGTHS, strict=True)], dim=-1)
    torch.testing.assert_close(found.movedim(-1, 0), expected)
    torch.testing.assert_close(layer.norm.state_dict(), plain.state_dict())
    again = layer.eval()(x, LENGTHS)
    torch.testing.assert_close(again[0], plain.eval()(x[:1].flatten(2)).view_as(x[:1])[0])


def test_one_vector_alone_has_the_running_statistics() -> None:
    layer, x = VectorNorm(3).train(), torch.randn(1, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    torch.testing.assert_close(layer(x), layer.eval()(x))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
