"""Conformer blocks: attention by hand, padding, published sizes."""

from __future__ import annotations

import math

import pytest
import torch
from toys.frame_layers import check_padding

from audiossl.core.errors import ConfigError
from audiossl.nn.conformer import MultiScaleConformer, _RelativeAttention


def small() -> MultiScaleConformer:
    torch.manual_seed(0)
    return MultiScaleConformer(6, 8, 2, 2, 12, 5)


def test_attention_by_hand() -> None:
    """(q_i + u) k_j + (q_i + v) W r_(i-j), one pair of frames after the other."""
    torch.manual_seed(0)
    layer, frames, half = _RelativeAttention(8, 2), 5, 4
    x = torch.randn(1, frames, 8)
    query, key, value = layer.inputs(layer.norm(x))[0].unflatten(-1, (3, 2, half)).unbind(1)  # (T, H, 4) each
    made = torch.zeros(frames, 2, half)
    for head in range(2):
        for i in range(frames):
            scores = []
            for j in range(frames):
                rates = [10000 ** (-even / 8) for even in range(0, 8, 2)]
                place = [function((i - j) * rate) for rate in rates for function in (math.sin, math.cos)]
                distance = layer.distance(torch.tensor(place)).unflatten(-1, (2, half))[head]
                one = (query[i, head] + layer.content_bias[head]) @ key[j, head]
                scores.append((one + (query[i, head] + layer.distance_bias[head]) @ distance) / math.sqrt(half))
            made[i, head] = torch.stack(scores).softmax(dim=0) @ value[:, head]
    torch.testing.assert_close(layer(x, torch.tensor([frames]))[0], layer.output(made.flatten(1)))


def test_blocks_are_read_side_by_side() -> None:
    model, x, length = small().eval(), torch.randn(1, 7, 6), torch.tensor([7])
    first = model.blocks[0](model.projection(x), length)
    second = model.blocks[1](first, length)
    torch.testing.assert_close(model(x, length), model.norm(torch.cat([first, second], dim=-1)))
    assert model.out_width == 16


def test_padding_changes_nothing_in_training_nor_later() -> None:
    check_padding(small, 6)


def test_sizes_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ConfigError, match="multiple of heads=3"):
        MultiScaleConformer(6, 8, 1, 3, 12, 5)
    with pytest.raises(ConfigError, match="kernel_size=4"):
        MultiScaleConformer(6, 8, 1, 2, 12, 4)
