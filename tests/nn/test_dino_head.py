"""DINO's head: cosines with directions."""

from __future__ import annotations

import torch

from audiossl.nn.dino_head import DinoHead


def test_outputs_are_cosines_of_a_unit_vector() -> None:
    torch.manual_seed(0)
    head = DinoHead(6, 8, 4, 10)
    x = torch.randn(3, 6)
    made = head(x)
    assert made.shape == (3, 10)
    hidden = head.layers(x)
    expected = torch.nn.functional.cosine_similarity(hidden[:, None], head.directions.weight[None], dim=-1)
    torch.testing.assert_close(made, expected)
