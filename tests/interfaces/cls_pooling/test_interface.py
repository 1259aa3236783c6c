"""The [CLS] token of one Transformer layer over the layers of a frame."""

from __future__ import annotations

import pytest
import torch
from toys.layers import stack_of

from audiossl.interfaces.cls_pooling.interface import ClsPooling


def test_cls_pooling_is_the_first_output_of_a_whole_transformer_layer() -> None:
    features = stack_of((8,) * 5)
    interface = ClsPooling(features.widths, ClsPooling.Config(num_heads=2))
    torch.nn.init.normal_(interface.layer_embedding)
    whole = torch.nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, batch_first=True)
    whole.self_attn.load_state_dict(interface.attention.state_dict())
    whole.norm1.load_state_dict(interface.attention_norm.state_dict())
    whole.norm2.load_state_dict(interface.output_norm.state_dict())
    whole.linear1.load_state_dict(interface.feed_forward[0].state_dict())
    whole.linear2.load_state_dict(interface.feed_forward[3].state_dict())
    states = torch.stack(features.layers, dim=2).flatten(0, 1) + interface.layer_embedding  # (B T, L, D)
    tokens = torch.cat([interface.cls.expand(len(states), 1, -1), states], dim=1)
    torch.testing.assert_close(interface(features).flatten(0, 1), whole(tokens)[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("width", "heads"), [(768, 8), (39, 3), (7, 7), (11, 1), (80, 8)])
def test_cls_pooling_takes_a_number_of_heads_that_fits(width: int, heads: int) -> None:
    assert ClsPooling((width, width)).attention.num_heads == heads
