"""Classifiers of vectors."""

from __future__ import annotations

import torch
from torch import nn

from audiossl.nn.mlp import Mlp, make_classifier


def test_hidden_widths_make_layers_and_none_make_a_linear_one() -> None:
    assert isinstance(make_classifier(4, [], 3), nn.Linear)
    made = make_classifier(4, [6, 5], 3)
    assert isinstance(made, Mlp)
    assert [tuple(each.weight.shape) for each in made if isinstance(each, nn.Linear)] == [(6, 4), (5, 6), (3, 5)]
    assert made.weight is made[-1].weight
    x = torch.randn(2, 4)
    by_hand = x
    for layer in (0, 3):
        linear, norm = made[layer], made[layer + 1]
        hidden = by_hand @ linear.weight.T + linear.bias
        spread = ((hidden - hidden.mean(1, keepdim=True)) ** 2).mean(1, keepdim=True)
        by_hand = ((hidden - hidden.mean(1, keepdim=True)) / (spread + norm.eps).sqrt()).relu()
    torch.testing.assert_close(made(x), by_hand @ made[-1].weight.T + made[-1].bias)
