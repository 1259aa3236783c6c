"""Attention in both layouts against its formula, biases by distance, blocks before and after their norms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from audiossl.encoders.testing import relative_distance
from audiossl.nn import transformer
from audiossl.nn.masking import valid_frames
from audiossl.nn.transformer import Block, Chosen, Packed, Padded, Relative, attention

WIDTH, HEADS = 12, 3


class Gated(Block):
    """With a gate that anyone can compute."""

    def gate(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).sum(-1)


def block(cls: type[Block] = Block, **options: object) -> Block:
    torch.manual_seed(0)
    made = cls(WIDTH, HEADS, 20, **{"pre_norm": False, **options})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def by_formula(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias
    return scores.softmax(-1) @ v


def test_attention_equals_its_formula_under_a_mask() -> None:
    q, k, v = torch.randn(3, 2, HEADS, 7, 4).unbind(0)
    valid = valid_frames(torch.tensor([7, 4]), 7)
    hidden = torch.zeros(2, 1, 1, 7).masked_fill(~valid[:, None, None], -math.inf)
    assert torch.allclose(attention(q, k, v, valid, None, 0.0), by_formula(q, k, v, hidden), atol=1e-6)


@pytest.mark.parametrize("at_once", [1024, 3])
def test_relative_biases_are_by_key_minus_query(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(transformer, "_BIASED_QUERIES", at_once)
    frames, reach = 7, 9  # the table may reach further than the item
    q, k, v = torch.randn(3, 2, HEADS, frames, 4).unbind(0)
    relative = Relative(torch.randn(HEADS, 2 * reach + 1), torch.randn(2, frames, HEADS))
    distance = torch.arange(frames) - torch.arange(frames)[:, None]  # (query, key)
    bias = relative.gate.transpose(1, 2)[..., None] * relative.by_distance[:, reach + distance]
    valid = valid_frames(torch.tensor([7, 5]), frames)
    bias = bias.masked_fill(~valid[:, None, None], -math.inf)
    assert torch.allclose(attention(q, k, v, valid, relative, 0.0), by_formula(q, k, v, bias), atol=1e-6)


@pytest.mark.parametrize("cls", [Block, Gated])
@pytest.mark.parametrize("options", [{}, {"pre_norm": True}, {"adapter_width": 4}])
def test_packed_equals_padded_equals_alone(cls: type[Block], options: dict[str, object]) -> None:
    made = block(cls, **options)
    lengths = [6, 9, 1]
    items = [torch.randn(length, WIDTH) for length in lengths]
    by_distance = torch.randn(HEADS, 2 * 8 + 1)
    packed = Packed(lengths)
    padded = Padded(9, valid_frames(torch.tensor(lengths), 9))
    with torch.no_grad():
        one = made(torch.cat(items), packed, by_distance).split(lengths)
        two = made(packed.spread(torch.cat(items), 9), padded, by_distance)
        for index, item in enumerate(items):
            alone = made(item[None], Padded(len(item)), by_distance)[0]
            assert relative_distance(one[index], alone) < 1e-6
            assert relative_distance(two[index, : len(item)], alone) < 1e-6


def test_spread_pads_with_zeros() -> None:
    x = torch.arange(10.0).view(5, 2)
    spread = Packed([2, 3]).spread(x, 4)
    assert spread.shape == (2, 4, 2)
    assert torch.equal(spread[0, :2], x[:2])
    assert torch.equal(spread[1, :3], x[2:])
    assert not spread[0, 2:].any()
    even = Packed([5]).spread(x, 5)
    assert even.data_ptr() == x.data_ptr()  # nothing to pad, nothing copied


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_block_equals_that_of_torch(pre_norm: bool) -> None:
    made = block(pre_norm=pre_norm)
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, 20, activation="gelu", batch_first=True, norm_first=pre_norm)
    state = made.state_dict()
    names = {
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "out.",
        "linear1.": "up.",
        "linear2.": "down.",
        "norm1.": "attention_norm.",
        "norm2.": "ffn_norm.",
    }
    theirs.load_state_dict({t + k: state[o + k] for t, o in names.items() for k in ("weight", "bias")})
    x = torch.randn(2, 8, WIDTH)
    with torch.no_grad():
        assert torch.allclose(made(x, Padded(8)), theirs.eval()(x), atol=1e-5)


def test_an_adapter_adds_to_its_input() -> None:
    made = block(adapter_width=4)
    assert isinstance(made.adapter, transformer.Adapter)
    nn.init.zeros_(made.adapter.up.weight)
    nn.init.zeros_(made.adapter.up.bias)
    x = torch.randn(1, 5, WIDTH)
    without = block()
    without.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("adapter.")})
    with torch.no_grad():
        assert torch.equal(made(x, Padded(5)), without(x, Padded(5)))


def test_dropout_is_for_training() -> None:
    made, x = block(attention_dropout=0.5), torch.randn(1, 5, WIDTH)
    with torch.no_grad():
        assert torch.equal(made(x, Padded(5)), made(x, Padded(5)))
        made.train()
        assert not torch.equal(made(x, Padded(5)), made(x, Padded(5)))


@pytest.mark.parametrize("packed", [True, False])
def test_chosen_frames_come_back_to_their_places(packed: bool) -> None:
    """Also of an item of which nothing is chosen."""
    torch.manual_seed(0)
    mask = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
    chosen, x = Chosen(mask, packed=packed), torch.randn(3, 4, 6)
    assert torch.equal(chosen.put_back(chosen.take(x)), torch.where(mask[..., None], x, 0.0))
    attended = chosen.put_back(Block(6, 2, 8, pre_norm=True, dropout=0.0)(chosen.take(x), chosen.layout))
    assert bool(attended.isfinite().all())
