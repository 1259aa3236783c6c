"""Interfaces that mix layers with learnt maps (Shih and Harwath, 2024, arXiv:2406.12209)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audiossl.core.errors import ConfigError
from audiossl.interfaces.weighting import checked_width, linear_or_identity, project
from audiossl.training.interface import Interface


class Concat(Interface):
    """A linear map of all layers side by side: W [x_1; ...; x_L] + b."""

    commutes_with_mean = True
    stackable = True

    @dataclass(frozen=True)
    class Config:
        width: int | None = None
        """Width of what comes out. Null for that of the first layer."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        self.width = checked_width(self.config.width, self.widths[0])
        self.projection = nn.Linear(sum(self.widths), self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        # W = [W_1 ... W_L]: the products are added layer by layer, the concatenation is never made.
        weight, bias = self.projection.weight, self.projection.bias
        blocks = weight.split(self.widths, dim=1)
        autocast = torch.is_autocast_enabled(layers[0].device.type)
        total: Tensor = bias
        for block, layer in zip(blocks, layers, strict=True):
            total = total + nn.functional.linear(layer if autocast else layer.to(weight.dtype), block)
        return total


class HierarchicalConv(Interface):
    """Convolutions over the layer axis of each frame: kernel 5, stride 3, padding 2, ReLU after each.

    There are n = floor(log_3 L) of them. All but the last have as many channels as the (common) layer width. The
    last leaves l layers and has ceil(width / l) channels, so that flattened they are at least `width`; a linear layer
    makes it exact where l does not divide it (the published code returns 1023 of 1024 for 25 layers).
    n is 0 for 1 or 2 layers: there, one convolution spans them all (kernel L, no padding), which is a linear map of
    the layers side by side, with a ReLU.
    Layers of another width than the first are projected to it.
    """

    @dataclass(frozen=True)
    class Config:
        width: int | None = None
        """Width of what comes out. Null for that of the first layer."""
        chunk_frames: int = 2048
        """Frames that are mixed at once. A longer batch is recomputed in the backward pass, by chunks."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        common = self.widths[0]
        self.width = checked_width(self.config.width, common)
        self.alignment = nn.ModuleList(linear_or_identity(width, common) for width in self.widths)
        self.convolutions, flat = _layer_convolutions(len(self.widths), common, self.width)
        self.projection = linear_or_identity(flat, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return by_chunks(self._fuse, layers, self.config.chunk_frames)

    def _fuse(self, layers: Sequence[Tensor]) -> Tensor:
        """L tensors (N, D_l) -> (N, width)."""
        aligned = [project(linear, layer) for linear, layer in zip(self.alignment, layers, strict=True)]
        x = torch.stack(_in_dtype_of(next(self.convolutions.parameters()), aligned), dim=-1)  # (N, D, L)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        return project(self.projection, x.flatten(start_dim=1))  # channels outer, layers inner


class ClsPooling(Interface):
    """For each frame, a learnt [CLS] token attends to the layers in one transformer layer (post-norm, ReLU).

    Only the output at [CLS] is used, so only its query is computed: the result is that of the whole transformer layer
    at L times less work. A learnt embedding tells the layers apart (zero at first).
    Layers of another width than the first are projected to it. With a width that `num_heads` does not divide, the
    number of heads is the largest divisor below it.
    """

    @dataclass(frozen=True)
    class Config:
        width: int | None = None
        """Width of what comes out. Null for that of the first layer."""
        num_heads: int = 8
        """Attention heads, or the largest number below it that divides the layers' width."""
        expansion: int = 4
        """Inner width of the feed-forward part, in widths of the layers."""
        dropout: float = 0.0
        """Dropout of the attention and of the feed-forward part."""
        chunk_frames: int = 2048
        """Frames that are mixed at once. A longer batch is recomputed in the backward pass, by chunks."""

    def __init__(self, widths: Sequence[int], config: Config | None = None) -> None:
        super().__init__(widths)
        self.config = config or self.Config()
        common, dropout = self.widths[0], self.config.dropout
        if self.config.num_heads < 1:
            raise ConfigError(f"num_heads={self.config.num_heads}: at least one attention head is needed.")
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
        states = torch.stack(_in_dtype_of(self.cls, aligned), dim=1) + self.layer_embedding  # (N, L, D)
        query = self.cls.expand(len(states), 1, -1)
        tokens = torch.cat([query, states], dim=1)  # (N, 1 + L, D): [CLS] attends to itself as well
        attended, _ = self.attention(query, tokens, tokens, need_weights=False)
        x = self.attention_norm(query + self.dropout(attended)).squeeze(1)  # (N, D)
        return project(self.projection, self.output_norm(x + self.feed_forward(x)))


def by_chunks(fuse: Callable[[Sequence[Tensor]], Tensor], layers: Sequence[Tensor], chunk_frames: int) -> Tensor:
    """Apply `fuse` (L x (N, D_l) -> (N, width)) to L tensors (B, T, D_l), at most `chunk_frames` frames at a time.

    With more than one chunk, what happened inside a chunk is computed again in the backward pass, so that the memory
    for intermediate results is that of one chunk whatever B T is.
    """
    if chunk_frames < 1:
        raise ConfigError(f"chunk_frames={chunk_frames}: at least one frame at a time is needed.")
    batch, frames = layers[0].shape[:2]
    flat = [layer.flatten(0, 1) for layer in layers]  # each (B T, D_l)
    if batch * frames <= chunk_frames:
        fused = [fuse(flat)]
    else:
        chunks = zip(*(layer.split(chunk_frames) for layer in flat), strict=True)
        keep = not torch.is_grad_enabled()
        fused = [fuse(chunk) if keep else checkpoint(fuse, chunk, use_reentrant=False) for chunk in chunks]
    return torch.cat(fused).view(batch, frames, -1)


def floor_log(number: int, base: int) -> int:
    """The largest n with base ** n <= number, in integers (in floating point, log 243 / log 3 is below 5).

    >>> floor_log(243, 3), floor_log(242, 3), floor_log(1, 3)
    (5, 4, 0)
    """
    power = 0
    while base ** (power + 1) <= number:
        power += 1
    return power


def _layer_convolutions(num_layers: int, channels: int, width: int) -> tuple[nn.ModuleList, int]:
    """The convolutions of HierarchicalConv and the width of their flattened output, at least `width`."""
    num_convolutions = floor_log(num_layers, 3)
    if num_convolutions == 0:
        return nn.ModuleList([nn.Conv1d(channels, width, num_layers)]), width
    convolutions: list[nn.Module] = []
    for step in range(num_convolutions):
        num_layers = (num_layers + 2 * 2 - 5) // 3 + 1
        last = step == num_convolutions - 1
        out_channels = -(-width // num_layers) if last else channels
        convolutions.append(nn.Conv1d(channels, out_channels, kernel_size=5, stride=3, padding=2))
    return nn.ModuleList(convolutions), out_channels * num_layers


def _in_dtype_of(parameter: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    return [state.to(parameter.dtype) for state in states]
