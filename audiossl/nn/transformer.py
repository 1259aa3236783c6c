"""A Transformer over frames, without padding or with it.

Two layouts hold the frames of a batch. *Packed*: the real frames of all items, one after the other, (N, D). Nothing is
spent on padding and an item is computed from itself alone: for CPUs, and for accelerators where one call attends within
all items. *Padded*: (B, T, D) with a mask, for accelerators where none does. Linear layers and norms do not see the
difference. Attention does, and is asked of the layout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from audiossl.nn.masking import valid_frames
from audiossl.nn.parallel_adapter import beside
from audiossl.nn.varlen import has_kernel, varlen_attention

# Queries whose relative biases are held at a time: at 12 heads, 1024 x 3000 float32 are 150 MB.
_BIASED_QUERIES = 1024


class Relative(NamedTuple):
    """A bias of the attention scores by distance, scaled for each query.

    by_distance: (H, 2 R + 1), entry R + d for key - query = d, R at least T - 1.
    gate: (..., H), one for each query.
    """

    by_distance: Tensor
    gate: Tensor


class Layout(Protocol):
    """How the frames of a batch lie in a tensor."""

    @property
    def longest(self) -> int:
        """Most frames of an item."""

    def attend(self, qkv: Tensor, relative: Relative | None, dropout: float) -> Tensor:
        """qkv (..., 3, H, D / H) -> (..., D)."""


@dataclass(frozen=True)
class Packed:
    """Items one after the other, lengths[i] frames each.

    starts: (B + 1,) int32 on the device of the frames, where each item begins, and N. With it one call attends within
    all items where torch has a kernel for it, else item by item.
    """

    lengths: Sequence[int]
    starts: Tensor | None = field(default=None, compare=False)

    @classmethod
    def of(cls, counts: Tensor) -> Packed:
        """Of (B,) frames, integers on the device of the frames."""
        return cls(counts.tolist(), F.pad(counts.cumsum(0), (1, 0)).int())

    @property
    def longest(self) -> int:
        return max(self.lengths)

    def attend(self, qkv: Tensor, relative: Relative | None, dropout: float) -> Tensor:
        fits = relative is None and has_kernel(qkv.device, qkv.dtype, qkv.shape[-1])
        if self.starts is not None and fits and len(qkv):
            q, k, v = qkv.unbind(1)  # each (N, H, D / H)
            return varlen_attention(q, k, v, self.starts, self.longest, dropout).flatten(1)
        made = []
        for part, gate in zip(qkv.split(self.lengths), self._gates(relative), strict=True):
            q, k, v = part.permute(1, 2, 0, 3)[:, None].unbind(0)  # each (1, H, T, D / H)
            own = Relative(relative.by_distance, gate[None]) if relative is not None and gate is not None else None
            made.append(attention(q, k, v, None, own, dropout).transpose(1, 2).flatten(2)[0])
        return made[0] if len(made) == 1 else torch.cat(made)

    def _gates(self, relative: Relative | None) -> Sequence[Tensor | None]:
        return [None] * len(self.lengths) if relative is None else relative.gate.split(self.lengths)

    def spread(self, x: Tensor, frames: int) -> Tensor:
        """(N, D) -> (B, frames, D), zero beyond each item, without a copy where nothing is to be padded."""
        if all(length == frames for length in self.lengths):
            return x.view(len(self.lengths), frames, x.shape[-1])
        spread = pad_sequence(list(x.split(self.lengths)), batch_first=True)
        return spread if frames == self.longest else F.pad(spread, (0, 0, 0, frames - self.longest))


@dataclass(frozen=True)
class Padded:
    """(B, T, D), where valid (B, T) is True for frames that may be attended to, None for all."""

    frames: int
    valid: Tensor | None = None

    @property
    def longest(self) -> int:
        return self.frames

    def attend(self, qkv: Tensor, relative: Relative | None, dropout: float) -> Tensor:
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, D / H)
        return attention(q, k, v, self.valid, relative, dropout).transpose(1, 2).flatten(2)


class Chosen:
    """Some frames of a padded batch, in a layout of their own, and the way back.

    chosen: (B, T) bool, the frames that are computed.
    packed: whether they are packed, else padded to the item that has most of them.
    layout: how they lie.
    places: (N,), where the frames come from among all B T where they are packed. (B, T'), where they come from in their
    items, the chosen ones first, where they are padded.
    """

    def __init__(self, chosen: Tensor, *, packed: bool) -> None:
        self.chosen = chosen
        self.layout: Packed | Padded
        counts = chosen.sum(1)
        if packed:
            self.layout, self.places = Packed.of(counts), chosen.flatten().nonzero()[:, 0]
            return
        # An item of which nothing is chosen attends to its first frame, which is not put back.
        counts = counts.clamp(min=1)
        frames = int(counts.max())
        self.places = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, :frames]
        self.layout = Padded(frames, valid_frames(counts, frames))

    @property
    def order(self) -> Tensor | None:
        """`places` of a padded layout, None of a packed one."""
        return self.places if isinstance(self.layout, Padded) else None

    def take(self, x: Tensor) -> Tensor:
        """(B, T, D) -> the chosen frames in `layout`."""
        if self.order is None:
            return x.flatten(0, 1).index_select(0, self.places)
        return x.gather(1, self.order[..., None].expand(-1, -1, x.shape[-1]))

    def put_back(self, x: Tensor) -> Tensor:
        """Frames in `layout` -> (B, T, D), zero where none was chosen."""
        if self.order is None:
            spread = x.new_zeros((self.chosen.numel(), x.shape[-1]))
            return spread.index_copy_(0, self.places, x).view(*self.chosen.shape, x.shape[-1])
        spread = x.new_zeros((*self.chosen.shape, x.shape[-1]))
        whole = spread.scatter(1, self.order[..., None].expand(-1, -1, x.shape[-1]), x)
        return torch.where(self.chosen[..., None], whole, whole.new_zeros(()))


def attention(
    q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, relative: Relative | None, dropout: float
) -> Tensor:
    """softmax(q k^T / sqrt(D / H) + bias) v by the fused kernel -> (B, H, T, D / H).

    q, k, v: (B, H, T, D / H).
    valid: (B, T), True for the keys that may be attended to, None for all.
    relative: the bias by distance, None for none.
    dropout: share of the weights dropped.
    """
    mask = None if valid is None else valid[:, None, None]
    if relative is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    # Row r of `window` holds distances r - (T - 1) onwards, which is what query T - 1 - r needs: with the queries
    # in reverse, the bias of all pairs is a strided view of 2 T - 1 numbers, and only gate x view takes memory.
    frames = q.shape[2]
    reach = relative.by_distance.shape[-1] // 2
    distances = relative.by_distance[:, reach - frames + 1 : reach + frames]
    # In a graph for any length, a view or a loop would be written for the one length that it is traced with.
    traced = torch.compiler.is_compiling()
    if traced:
        step = torch.arange(frames, device=q.device)
        window = distances[:, step[:, None] + step]  # (H, T, T)
    else:
        window = distances.unfold(1, frames, 1)
    gate = relative.gate.transpose(1, 2).flip(2)[..., None]  # (B, H, T, 1)
    reverse, made = q.flip(2), []
    for start in [0] if traced else range(0, frames, _BIASED_QUERIES):
        rows = slice(start, frames if traced else start + _BIASED_QUERIES)
        bias = gate[:, :, rows] * window[:, rows]
        if mask is not None:
            bias = bias.masked_fill(~mask, -math.inf)
        made.append(F.scaled_dot_product_attention(reverse[:, :, rows], k, v, attn_mask=bias, dropout_p=dropout))
    return torch.cat(made, dim=2).flip(2)


class Adapter(nn.Module):
    """A residual bottleneck after a block (MMS, arXiv:2305.13516, section 4.2)."""

    def __init__(self, width: int, bottleneck: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps)
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.up(F.relu(self.down(self.norm(x))))
        return x + changed


class Block(nn.Module):
    """Self-attention and a feed-forward layer, normalised before (large style) or after (base style) each.

    width: D.
    num_heads: H, which divides D.
    ffn_width: hidden units of the feed-forward layer.
    pre_norm: normalise before each part, not after it.
    eps: of the norms.
    dropout: after each part.
    attention_dropout: of the attention's weights.
    activation_dropout: of the hidden units.
    adapter_width: bottleneck of an adapter behind the block, 0 for none.
    """

    parallel_adapter: nn.Module | None

    def __init__(
        self,
        width: int,
        num_heads: int,
        ffn_width: int,
        *,
        pre_norm: bool,
        eps: float = 1e-5,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.0,
        adapter_width: int = 0,
    ) -> None:
        super().__init__()
        self.num_heads, self.pre_norm, self.attention_dropout = num_heads, pre_norm, attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps)
        self.up = nn.Linear(width, ffn_width)
        self.down = nn.Linear(ffn_width, width)
        self.ffn_norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)
        self.activation_dropout = nn.Dropout(activation_dropout)
        self.adapter = Adapter(width, adapter_width, eps) if adapter_width else nn.Identity()
        self.register_module("parallel_adapter", None)  # fine-tuning may add one
        # As BERT is initialised, and the family in fairseq (`init_bert_params`).
        for linear in (self.qkv, self.out, self.up, self.down):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def gate(self, x: Tensor) -> Tensor | None:
        """(..., D), the attention's input -> (..., H), what scales relative biases for each query, None for none."""
        return None

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        by_distance: Tensor | None = None,
        ffn_outputs: list[Tensor] | None = None,
    ) -> Tensor:
        """One block.

        x: (..., D) in `layout`.
        layout: how frames of items lie in x.
        by_distance: see `Relative`.
        ffn_outputs: where to append what the feed-forward part gives before it is added to its input.
        Returns (..., D).
        """
        x = self._attended(x, layout, by_distance)
        read = self.ffn_norm(x) if self.pre_norm else x
        change = beside(self.parallel_adapter, self._transform(read), read)
        if ffn_outputs is not None:
            ffn_outputs.append(change)
        x = x + change if self.pre_norm else self.ffn_norm(x + change)
        x = self.adapter(x)
        return x

    def _attended(self, x: Tensor, layout: Layout, by_distance: Tensor | None) -> Tensor:
        if self.pre_norm:
            return x + self._attend(self.attention_norm(x), layout, by_distance)
        made: Tensor = self.attention_norm(x + self._attend(x, layout, by_distance))
        return made

    def _attend(self, x: Tensor, layout: Layout, by_distance: Tensor | None) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        gate = None if by_distance is None else self.gate(x)
        relative = None if by_distance is None or gate is None else Relative(by_distance, gate)
        attended = layout.attend(qkv, relative, self.attention_dropout if self.training else 0.0)
        made: Tensor = self.dropout(self.out(attended))
        return made

    def _transform(self, x: Tensor) -> Tensor:
        made: Tensor = self.dropout(self.down(self.activation_dropout(F.gelu(self.up(x)))))
        return made
