"""RawNet3's frames: a block by hand, padding, sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toys.frame_layers import check_padding

from audiossl.core.errors import ConfigError
from audiossl.nn.rawnet import ConvolutionReluNorm, RawNetFrames


def small() -> RawNetFrames:
    torch.manual_seed(0)
    return RawNetFrames(6, 16, 10)


def layer_by_hand(layer: ConvolutionReluNorm, x: Tensor) -> Tensor:
    """x (C, T) of one item, frame by frame."""
    conv, frames = layer.conv.conv, []
    reach = conv.dilation[0] * (conv.kernel_size[0] // 2)
    padded = functional.pad(x, (reach, reach))
    for place in range(x.shape[1]):
        context = padded[:, place : place + 2 * reach + 1 : conv.dilation[0]]
        frames.append((conv.weight * context).sum(dim=(1, 2)) + conv.bias)
    norm = layer.norm.norm
    made = torch.stack(frames, dim=1).relu()
    return (made - norm.running_mean[:, None]) / (norm.running_var[:, None] + norm.eps).sqrt()


def test_a_block_by_hand() -> None:
    block, x = small().eval().blocks[1], torch.randn(16, 7)
    with torch.no_grad():
        groups, made = layer_by_hand(block.before, x).chunk(8), []
        for layer, group in zip(block.groups.layers, groups[:7], strict=True):
            made.append(layer_by_hand(layer, group + made[-1] if made else group))
        joined = x + layer_by_hand(block.after, torch.cat([*made, groups[7]]))
        weight = block.scale(joined.mean(dim=1)).sigmoid()
        expected = (joined + 1) * weight[:, None]
        torch.testing.assert_close(block(x[None], torch.tensor([7]))[0], expected)


def test_padding_changes_nothing_in_training_nor_later() -> None:
    check_padding(small, 6)


def test_channels_come_in_eights() -> None:
    with pytest.raises(ConfigError, match="channels=12 must be a multiple of 8"):
        RawNetFrames(6, 12, 10)
