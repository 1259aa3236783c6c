"""Attention that fades with distance, in both directions (ALiBi, Press et al., 2022, arXiv:2108.12409, section 3).

    softmax(q k^T / sqrt(D / H) - slope_h |i - j|) v,    slope_h = 2^(-8 h / H) for head h = 1 .. H

There is no table of positions, so that an encoder trained on crops of a few seconds reads recordings of any length.
The layouts are those of `audiossl.nn.transformer`. They also take positions, for frames of which some are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl.nn.transformer import Packed, Relative

# Most numbers of a bias that is held at a time: 128 MB in float32.
_LARGEST_BIAS = 1 << 25


def alibi_slopes(num_heads: int) -> Tensor:
    """(H,).

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    heads = torch.arange(1, num_heads + 1, dtype=torch.float64)
    return (2.0 ** (-8 * heads / num_heads)).float()


def distance_bias(queries: Tensor, keys: Tensor, slopes: Tensor) -> Tensor:
    """-slope |i - j| of positions queries (..., Q) and keys (..., K), as (..., H, Q, K)."""
    distance = (queries[..., :, None] - keys[..., None, :]).abs().to(slopes.dtype)
    return -slopes[:, None, None] * distance[..., None, :, :]


def masked_bias(queries: Tensor, keys: Tensor, slopes: Tensor, valid: Tensor | None) -> Tensor:
    """As `distance_bias`, and -inf for keys that may not be attended to.

    queries: (Q,) or (B, Q) positions.
    keys: (T,) or (B, T) positions.
    slopes: (H,).
    valid: (B, T), True for the keys that may be attended to, None for all.
    Returns (1 or B, H, Q, T).
    """
    bias = distance_bias(queries, keys, slopes)
    bias = bias[None] if queries.ndim == 1 else bias
    return bias if valid is None else bias.masked_fill(~valid[:, None, None], -math.inf)


class PackedAlibi:
    """Items one after the other, lengths[i] frames each.

    lengths: frames of each item.
    slopes: (H,).
    positions: of the frames of each item, (lengths[i],). None where no frame is left out.
    """

    def __init__(self, lengths: Sequence[int], slopes: Tensor, positions: Sequence[Tensor] | None = None) -> None:
        self.lengths, self.slopes, self.positions = list(lengths), slopes, positions
        self._bias: Tensor | None = None

    @property
    def longest(self) -> int:
        """Most frames of an item."""
        return max(self.lengths)

    def attend(self, qkv: Tensor, relative: Relative | None, dropout: float) -> Tensor:
        """qkv (N, 3, H, D / H) -> (N, D)."""
        if self.positions is None and len(set(self.lengths)) == 1:
            even = qkv.unflatten(0, (len(self.lengths), -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, T, D / H)
            return self._attended(even, 0, dropout).transpose(1, 2).flatten(2).flatten(0, 1)
        made = [
            self._attended(part.permute(1, 2, 0, 3)[:, None], item, dropout).transpose(1, 2).flatten(2)[0]
            for item, part in enumerate(qkv.split(self.lengths))
            if len(part)
        ]
        return torch.cat(made)

    def spread(self, x: Tensor, frames: int) -> Tensor:
        """(N, D) -> (B, frames, D), zero beyond each item."""
        return Packed(self.lengths).spread(x, frames)

    def _attended(self, qkv: Tensor, item: int, dropout: float) -> Tensor:
        """qkv (3, B, H, T, D / H) of an item, or of all where they are equally long -> (B, H, T, D / H)."""
        q, k, v = qkv.unbind(0)
        if self.positions is not None:
            return attention_by_distance(q, k, v, self.positions[item], self.slopes, dropout=dropout)
        # One table for all items and blocks: the bias of a shorter item is a corner of it.
        longest = self.longest
        if longest * longest * len(self.slopes) <= _LARGEST_BIAS:
            if self._bias is None or self._bias.dtype != q.dtype:
                steps = torch.arange(longest, device=q.device)
                self._bias = distance_bias(steps, steps, self.slopes).to(q.dtype)
            frames = q.shape[2]
            return biased_attention(q, k, v, self._bias[None, :, :frames, :frames], dropout)
        steps = torch.arange(q.shape[2], device=q.device)
        return attention_by_distance(q, k, v, steps, self.slopes, dropout=dropout)


class PaddedAlibi:
    """(B, T, D).

    frames: T.
    slopes: (H,).
    valid: (B, T), True for frames that may be attended to, None for all.
    positions: (B, T). None where no frame is left out.
    """

    def __init__(
        self, frames: int, slopes: Tensor, valid: Tensor | None = None, positions: Tensor | None = None
    ) -> None:
        self.frames, self.slopes, self.valid, self.positions = frames, slopes, valid, positions
        self._bias: Tensor | None = None

    @property
    def longest(self) -> int:
        """Most frames of an item."""
        return self.frames

    def attend(self, qkv: Tensor, relative: Relative | None, dropout: float) -> Tensor:
        """qkv (B, T, 3, H, D / H) -> (B, T, D)."""
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        positions = torch.arange(q.shape[2], device=q.device) if self.positions is None else self.positions
        items = 1 if self.valid is None and self.positions is None else len(q)
        if not torch.compiler.is_compiling() and items * q.shape[1] * self.frames**2 <= _LARGEST_BIAS:
            # One table for all blocks.
            if self._bias is None or self._bias.dtype != q.dtype:
                self._bias = masked_bias(positions, positions, self.slopes, self.valid).to(q.dtype)
            made = biased_attention(q, k, v, self._bias, dropout)
        else:
            made = attention_by_distance(q, k, v, positions, self.slopes, valid=self.valid, dropout=dropout)
        return made.transpose(1, 2).flatten(2)


def attention_by_distance(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor,
    slopes: Tensor,
    *,
    valid: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """softmax(q k^T / sqrt(D / H) - slope |i - j|) v -> (B, H, T, D / H), some queries at a time where T is large.

    q, k, v: (B, H, T, D / H).
    positions: (T,) or (B, T).
    slopes: (H,).
    valid: (B, T), True for the keys that may be attended to, None for all.
    dropout: share of the weights dropped.
    """
    batch, heads, frames, _ = q.shape
    items = 1 if valid is None and positions.ndim == 1 else batch
    # A graph for any length has no loop over it.
    rows = frames if torch.compiler.is_compiling() else max(1, _LARGEST_BIAS // (items * heads * frames))
    made = []
    for start in [0] if rows >= frames else range(0, frames, rows):
        asked = positions if rows >= frames else positions[..., start : start + rows]
        bias = masked_bias(asked, positions, slopes, valid)
        part = q if rows >= frames else q[:, :, start : start + rows]
        made.append(biased_attention(part, k, v, bias.to(q.dtype), dropout))
    return made[0] if len(made) == 1 else torch.cat(made, dim=2)


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(D / H) + bias) v -> (B, H, Q, D / H).

    q: (B, H, Q, D / H).
    k, v: (B, H, T, D / H).
    bias: (B or 1, H, Q, T), in the type of q.
    dropout: share of the weights dropped.
    """
    # Backwards through the fused kernel of the CPU, bfloat16 takes twice the time of plain products.
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad:
        shape, width = (len(q), *bias.shape[1:]), q.shape[-1]
        bias = bias.expand(shape).flatten(0, 1)
        scores = torch.baddbmm(bias, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=1 / math.sqrt(width))
        weights = F.dropout(scores.softmax(-1), dropout).view(shape)
        return weights @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
