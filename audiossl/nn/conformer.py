"""Conformer blocks (Gulati et al., 2020, arXiv:2005.08100), and the outputs of all of them side by side.

That is the multi-scale aggregation of MFA-Conformer (Zhang et al., 2022, arXiv:2203.15249), without its subsampling:
the frames of an encoder have the rate that is left there.
Padding never changes a frame: keys beyond an item are not attended to, and its convolutions meet zeros there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.frame_layers import FrameConvolution, FrameNorm, zero_beyond
from audiossl.nn.masking import valid_frames


class MultiScaleConformer(nn.Module):
    """x (B, T, inputs), lengths (B,) frames -> (B, T, out_width), all blocks' outputs under one layer normalisation.

    inputs: width of the sequence, which a linear layer brings to `width`.
    width: of the blocks, a multiple of `heads` and even.
    blocks: how many.
    heads: of attention.
    feed_forward: width inside of the feed-forward layers.
    kernel_size: of the convolutions, odd.
    dropout: after each part of a block.
    Raises ConfigError for sizes that do not fit.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        blocks: int,
        heads: int,
        feed_forward: int,
        kernel_size: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise ConfigError(f"width={width} of the Conformer must be even, and a multiple of heads={heads}.")
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size={kernel_size} of the Conformer must be odd, so that frames stay in place.")
        self.projection = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(_Block(width, heads, feed_forward, kernel_size, dropout) for _ in range(blocks))
        self.out_width = blocks * width
        self.norm = nn.LayerNorm(self.out_width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made, outputs = self.projection(zero_beyond(x.transpose(1, 2), lengths).transpose(1, 2)), []
        for block in self.blocks:
            made = block(made, lengths)
            outputs.append(made)
        normed: Tensor = self.norm(torch.cat(outputs, dim=-1))
        return normed


class _Block(nn.Module):
    """Half a feed-forward layer, attention, convolution, and the other half (B, T, D)."""

    def __init__(self, width: int, heads: int, feed_forward: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = (_feed_forward(width, feed_forward, dropout) for _ in range(2))
        self.attention = _RelativeAttention(width, heads)
        self.convolution = _Convolution(width, kernel_size)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = x + 0.5 * self.before(x)
        x = x + self.dropout(self.attention(x, lengths))
        x = x + self.dropout(self.convolution(x, lengths))
        normed: Tensor = self.norm(x + 0.5 * self.after(x))
        return normed


def _feed_forward(width: int, inside: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, inside),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(inside, width),
        nn.Dropout(dropout),
    )


class _RelativeAttention(nn.Module):
    """Self-attention (B, T, D) by content and distance (Dai et al., 2019, arXiv:1901.02860, section 3.3).

    The score of query i and key j is (q_i + u) k_j + (q_i + v) W r_{i-j} over the root of the head's width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.heads = nn.LayerNorm(width), heads
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.distance = nn.Linear(width, width, bias=False)
        self.content_bias, self.distance_bias = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, width // heads))) for _ in range(2)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        frames, width = x.shape[1:]
        parts = self.inputs(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, D / H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, H, T, D / H) each
        table = self.distance(_sinusoids(frames, width, x.device).to(x.dtype)).unflatten(-1, (self.heads, -1))
        content = (query + self.content_bias[:, None]) @ key.transpose(2, 3)  # (B, H, T, T)
        by_distance = (query + self.distance_bias[:, None]) @ table.permute(1, 2, 0)  # (B, H, T, 2 T - 1)
        steps = torch.arange(frames, device=x.device)
        places = (steps[:, None] - steps + frames - 1).expand(len(x), self.heads, -1, -1)  # of r_{i-j} in the table
        scores = (content + by_distance.gather(3, places)) / math.sqrt(width / self.heads)
        hidden = ~valid_frames(lengths, frames)[:, None, None]  # (B, 1, 1, T)
        weights = scores.float().masked_fill(hidden, -torch.inf).softmax(dim=-1).to(value.dtype)
        mixed: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return mixed


class _Convolution(nn.Module):
    """A gated linear unit, a depth-wise convolution, batch normalisation and a linear layer (B, T, D)."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.norm, self.inputs = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.depthwise = FrameConvolution(width, width, kernel_size, groups=width)
        self.batch_norm, self.output = FrameNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        gated = nn.functional.glu(self.inputs(self.norm(x)), dim=-1).transpose(1, 2)  # (B, D, T)
        made = self.batch_norm(self.depthwise(gated, lengths), lengths)
        mixed: Tensor = self.output(nn.functional.silu(made).transpose(1, 2))
        return mixed


def _sinusoids(frames: int, width: int, device: torch.device) -> Tensor:
    """(2 T - 1, D) sines and cosines of the distances from -(T - 1) to T - 1."""
    distances = torch.arange(1 - frames, frames, device=device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=device, dtype=torch.float32) * (-math.log(10000.0) / width))
    return torch.stack([(distances * rates).sin(), (distances * rates).cos()], dim=-1).flatten(1)
