"""data2vec: position convolutions that follow each other, with layer norms between them."""

from __future__ import annotations

import pytest
import torch
from toys.engines import TINY

from audiossl import load_upstream
from audiossl.upstreams.data2vec.model import Data2VecConfig


def test_the_published_setting() -> None:
    config = Data2VecConfig()
    assert (config.position_kernel, config.position_depth) == (95, 5)  # five convolutions of 19 frames
    assert (config.conv_norm, config.position_norm, config.normalize) == ("layer", "layer", "layer_norm")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_convolutions_are_as_many_as_asked_for_and_share_the_kernel(depth: int) -> None:
    encoder = load_upstream("data2vec", weights="random", **{**TINY, "position_kernel": 35, "position_depth": depth})
    convolutions = [module for module in encoder.position.modules() if isinstance(module, torch.nn.Conv1d)]
    assert [convolution.kernel_size for convolution in convolutions] == [(max(3, 35 // depth),)] * depth


def test_the_level_of_a_recording_does_not_matter() -> None:
    encoder = load_upstream("data2vec", weights="random", **{**TINY, "position_depth": 2})
    wav = 0.01 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(20 * wav).layers[-1], encoder(wav).layers[-1], atol=1e-2, rtol=1e-2)
        assert not torch.allclose(encoder(20 * wav + 0.3 * wav.flip(1)).layers[-1], encoder(wav).layers[-1], atol=1e-2)
