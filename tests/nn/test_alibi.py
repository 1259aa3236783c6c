"""Attention that fades with distance, against products written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiossl.nn import alibi
from audiossl.nn.alibi import PackedAlibi, PaddedAlibi, alibi_slopes, biased_attention

HEADS, WIDTH = 4, 8


def written_out(qkv: Tensor, positions: list[int]) -> Tensor:
    """(T, 3, H, D / H) -> (T, D), pair by pair."""
    q, k, v = qkv.unbind(1)
    made = torch.zeros_like(q)
    for head in range(HEADS):
        slope = 2.0 ** (-8 * (head + 1) / HEADS)
        for i, here in enumerate(positions):
            scores = [
                float(q[i, head] @ k[j, head]) / math.sqrt(WIDTH) - slope * abs(here - p)
                for j, p in enumerate(positions)
            ]
            made[i, head] = torch.tensor(scores).softmax(0) @ v[:, head]
    return made.flatten(1)


def draw(frames: int, seed: int) -> Tensor:
    return torch.randn(frames, 3, HEADS, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("lengths", [(7, 4, 1), (5, 5)])
def test_both_layouts_are_the_products_written_out(lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    items, slopes = [draw(n, n) for n in lengths], alibi_slopes(HEADS)
    expected = torch.cat([written_out(item, list(range(len(item)))) for item in items])
    padded = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    valid = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    for largest in (1 << 24, 1):  # at once, and a query at a time
        monkeypatch.setattr(alibi, "_LARGEST_BIAS", largest)
        packed = PackedAlibi(lengths, slopes)
        assert packed.longest == max(lengths)
        torch.testing.assert_close(packed.attend(torch.cat(items), None, 0.0), expected, rtol=1e-5, atol=1e-6)
        masked = PaddedAlibi(max(lengths), slopes, valid)
        assert masked.longest == max(lengths)
        torch.testing.assert_close(masked.attend(padded, None, 0.0)[valid], expected, rtol=1e-5, atol=1e-6)


def test_frames_that_are_left_out_leave_a_gap() -> None:
    item, positions = draw(4, 0), [0, 3, 4, 9]
    expected = written_out(item, positions)
    places = torch.tensor(positions)
    packed = PackedAlibi([4, 0], alibi_slopes(HEADS), [places, places[:0]]).attend(item, None, 0.0)
    padded = PaddedAlibi(4, alibi_slopes(HEADS), None, places[None]).attend(item[None], None, 0.0)[0]
    torch.testing.assert_close(packed, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(padded, expected, rtol=1e-5, atol=1e-6)


def test_frames_are_spread_to_items() -> None:
    x = torch.arange(6.0)[:, None]
    assert PackedAlibi([2, 4], alibi_slopes(HEADS)).spread(x, 5)[..., 0].tolist() == [[0, 1, 0, 0, 0], [2, 3, 4, 5, 0]]
    assert PackedAlibi([3, 3], alibi_slopes(HEADS)).spread(x, 3)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_plain_products_of_bfloat16_are_the_fused_kernel() -> None:
    q, k, v = (draw(9, seed)[:, 0].transpose(0, 1)[None].bfloat16() for seed in range(3))
    bias = torch.randn(1, HEADS, 9, 9, generator=torch.Generator().manual_seed(3)).bfloat16()
    fused = biased_attention(q, k, v, bias, 0.0)
    plain = biased_attention(q.clone().requires_grad_(), k, v, bias, 0.0)
    torch.testing.assert_close(plain.detach().float(), fused.float(), rtol=0.03, atol=0.03)
