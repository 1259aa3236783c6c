"""Attention over the layers of each frame (Shih and Harwath, 2024, arXiv:2406.12209)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, ShareBelowOne
from audiossl.nn.chunks import by_chunks
from audiossl.nn.linear import in_dtype_of, linear_or_identity, project
from audiossl.training.interface import Interface, checked_width


class ClsPooling(Interface):
    """For each frame, a learnt [CLS] token attends to the layers in one transformer layer (post-norm, ReLU).

    Only the output at [CLS] is used, so only its query is computed: the result is that of the whole transformer layer
    at L times less work. A learnt embedding tells the layers apart (zero at first).
    Layers of another width than the first are projected to it. With a width that `num_heads` does not divide, the
    number of heads is the largest divisor below it.
    """

    @dataclass(frozen=True)
    class Config:
        width: Count | None = None
        """Width of what comes out. Null for that of the first layer."""
        num_heads: Count = 8
        """Attention heads, or the largest number below it that divides the layers' width."""
        expansion: Count = 4
        """Inner width of the feed-forward part, in widths of the layers."""
        dropout: ShareBelowOne = 0.0
        """Dropout of the attention and of the feed-forward part."""
        chunk_frames: Count = 2048
        """Frames that are mixed at once. A longer batch is recomputed in the backward pass, by chunks."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        common, dropout = self.widths[0], self.config.dropout
        self.width = checked_width(self.config.width, common)
        num_heads = next(heads for heads in range(self.config.num_heads, 0, -1) if common % heads == 0)
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.cls = nn.Parameter(torch.randn(common) * 0.02)
        self.layer_embedding = nn.Parameter(torch.zeros(len(self.widths), common))
        self.attention = nn.MultiheadAttention(common, num_heads, dropout=dropout, batch_first=True)
        self.attention_norm = nn.LayerNorm(common)
        inner = self.config.expansion * common
        self.feed_forward = nn.Sequential(
            nn.Linear(common, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, common), nn.Dropout(dropout)
        )
        self.output_norm = nn.LayerNorm(common)
        self.dropout = nn.Dropout(dropout)
        self.projection = linear_or_identity(common, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return by_chunks(self._pool, layers, self.config.chunk_frames)

    def _pool(self, layers: Sequence[Tensor]) -> Tensor:
        """L tensors (N, D_l) -> (N, width)."""
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        states = torch.stack(in_dtype_of(self.cls, aligned), dim=1) + self.layer_embedding  # (N, L, D)
        query = self.cls.expand(states.shape[0], 1, -1)
        tokens = torch.cat([query, states], dim=1)  # (N, 1 + L, D): [CLS] attends to itself as well
        attended, _ = self.attention(query, tokens, tokens, need_weights=False)
        x = self.attention_norm(query + self.dropout(attended)).squeeze(1)  # (N, D)
        return project(self.projection, self.output_norm(x + self.feed_forward(x)))
