"""The stem as convolutions and as matrix products, and its GroupNorm from the moments of the waveform."""

from __future__ import annotations

import pytest
import torch

from audiossl.encoders.testing import relative_distance
from audiossl.nn.conv_stem import ConvStem, stride_and_receptive_field

KERNELS, STRIDES = (10, 3, 3, 2), (5, 2, 2, 2)


def stem(norm: str, bias: bool) -> ConvStem:
    torch.manual_seed(0)
    made = ConvStem((8, 12, 16, 16), KERNELS, STRIDES, norm, bias)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_products_equal_convolutions_and_gradients_too(norm: str, bias: bool) -> None:
    made = stem(norm, bias)
    wav = 0.3 * torch.randn(40_000) + 0.2  # long enough for several blocks of rows
    with torch.no_grad():
        assert relative_distance(made.rows([wav])[0], made(wav[None])[0]) < 2e-6
    gradients = []
    for run in (lambda: made.rows([wav])[0], lambda: made(wav[None])[0]):
        made.zero_grad()
        run().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in made.parameters()]))
    assert relative_distance(*gradients) < 1e-4


@pytest.mark.parametrize("bias", [False, True])
def test_group_norm_of_a_padded_item_is_that_of_the_item(bias: bool) -> None:
    made = stem("group", bias)
    wavs = torch.randn(2, 4000)
    lengths = torch.tensor([4000, 1237])
    frames = (1237 - made.kernels[0]) // made.strides[0] + 1
    with torch.no_grad():
        mean, variance = made.moments(wavs, lengths)
        channels = made.convs[0](wavs[1:, None])[0, :, :frames].double()
        together, alone = made(wavs, lengths)[1], made(wavs[1:, :1237])[0]
    assert torch.allclose(mean[1], channels.mean(1), atol=1e-6)
    assert torch.allclose(variance[1], channels.var(1, correction=0), atol=1e-6)
    assert relative_distance(together[: len(alone)], alone) < 1e-6


def test_frames_of_a_stack_by_one_formula() -> None:
    stride, field = stride_and_receptive_field(KERNELS, STRIDES)
    made = stem("layer", False)
    for samples in range(field, field + 3 * stride):
        frames = made(torch.zeros(1, samples)).shape[1]
        assert frames == (samples - field) // stride + 1
        assert len(made.rows([torch.zeros(samples)])[0]) == frames
