"""Where one call attends within items of any lengths, and that it is asked for what it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys.varlen import Call, use_stand_in

from audiossl.nn import varlen
from audiossl.nn.masking import valid_frames
from audiossl.nn.transformer import Block, Chosen, Packed, Padded
from audiossl.nn.varlen import has_kernel, suits

CUDA = torch.device("cuda", 0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    return use_stand_in(monkeypatch)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were a card with the kernel."""
    monkeypatch.setattr(varlen, "_card_has_kernel", lambda device: True)


@pytest.mark.usefixtures("card")
def test_who_has_the_kernel() -> None:
    assert has_kernel(CUDA, torch.bfloat16, 64)
    assert has_kernel(CUDA, torch.float16, 80)
    assert not has_kernel(torch.device("cpu"), torch.bfloat16, 64)
    assert not has_kernel(CUDA, torch.float32, 64)
    assert not has_kernel(CUDA, torch.bfloat16, 36)
    assert not has_kernel(CUDA, torch.bfloat16, 256)


@pytest.mark.usefixtures("card")
def test_it_is_off_where_flash_attention_is() -> None:
    before = torch.backends.cuda.flash_sdp_enabled()
    torch.backends.cuda.enable_flash_sdp(False)
    try:
        assert not has_kernel(CUDA, torch.bfloat16, 64)
    finally:
        torch.backends.cuda.enable_flash_sdp(before)


@pytest.mark.usefixtures("card")
def test_it_is_off_in_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not has_kernel(CUDA, torch.bfloat16, 64)
    assert not suits(torch.zeros(3, 16), 2)


def test_autocast_says_in_what_type_blocks_attend(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[torch.dtype, int]] = []

    def noted(device: torch.device, dtype: torch.dtype, head_width: int) -> bool:
        asked.append((dtype, head_width))
        return True

    x = torch.zeros(2, 3, 48)
    assert not suits(x, 3)  # which needs no card to be asked
    monkeypatch.setattr(varlen, "has_kernel", noted)
    assert suits(x, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert suits(x, 3)
    assert suits(x.half(), 6)
    assert asked == [(torch.float32, 16), (torch.bfloat16, 16), (torch.float16, 8)]


def test_one_call_gives_states_and_gradients_of_the_padded_layout(calls: list[Call]) -> None:
    torch.manual_seed(0)
    block = Block(12, 3, 20, pre_norm=True, dropout=0.0, attention_dropout=0.0)
    x, valid = torch.randn(3, 9, 12), valid_frames(torch.tensor([6, 9, 1]), 9)
    chosen, weights, found = Chosen(valid, packed=True), torch.randn(3, 9, 12), []
    for packed in (True, False):
        given = x.clone().requires_grad_()
        if packed:
            made = chosen.put_back(block(chosen.take(given), chosen.layout))
        else:
            made = torch.where(valid[..., None], block(given, Padded(9, valid)), 0.0)
        (made * weights).sum().backward()
        found.append((made.detach(), given.grad, *(parameter.grad for parameter in block.parameters())))
        block.zero_grad()
    assert calls == [Call((16, 3, 4), torch.float32, [0, 6, 15, 16], 0.0)]
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_dropout_is_told_in_training_alone(calls: list[Call]) -> None:
    block, layout = Block(12, 3, 20, pre_norm=False, attention_dropout=0.25), Packed.of(torch.tensor([2, 0, 3]))
    for mode in (True, False):
        block.train(mode)(torch.randn(5, 12), layout)
    assert [(call.starts, call.dropout) for call in calls] == [([0, 2, 2, 5], 0.25), ([0, 2, 2, 5], 0.0)]


def test_under_autocast_it_gets_half_precision(calls: list[Call]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        Block(12, 3, 20, pre_norm=True)(torch.randn(5, 12), Packed.of(torch.tensor([2, 3])))
    assert [call.dtype for call in calls] == [torch.bfloat16]


def test_biases_by_distance_and_unknown_starts_go_item_by_item(calls: list[Call]) -> None:
    class Biased(Block):
        def gate(self, x: Tensor) -> Tensor:
            return x.new_ones((*x.shape[:-1], self.num_heads))

    x = torch.randn(5, 12)
    Biased(12, 3, 20, pre_norm=False)(x, Packed.of(torch.tensor([2, 3])), torch.randn(3, 5))
    Block(12, 3, 20, pre_norm=False)(x, Packed([2, 3]))
    assert calls == []


def test_no_frames_are_no_call(calls: list[Call]) -> None:
    made = Block(12, 3, 20, pre_norm=True)(torch.zeros(0, 12), Packed.of(torch.tensor([0, 0])))
    assert made.shape == (0, 12)
    assert calls == []


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_torch_takes_what_it_is_called_with_and_gives_a_gradient(dropout: float) -> None:
    """Without a card on tensors without data, for which torch says shapes and types alone."""
    pytest.importorskip("torch.nn.attention.varlen")
    qkv = torch.empty(10, 3, 4, 64, device="meta", dtype=torch.bfloat16, requires_grad=True)
    starts = torch.tensor([0, 4, 10], dtype=torch.int32, device="meta")
    q, k, v = qkv.unbind(1)
    made = varlen.varlen_attention(q, k, v, starts, 6, dropout)
    assert (made.shape, made.dtype) == (q.shape, q.dtype)
    made.sum().backward()
    assert qkv.grad is not None
    assert qkv.grad.shape == qkv.shape
