"""WavLM (arXiv:2110.13900): HuBERT's encoder with a gated relative position bias in its attention (section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, Range
from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.nn.transformer import Block


@dataclass(frozen=True)
class WavLMConfig(WaveformConfig):
    """The shared settings, and those of the relative positions."""

    num_buckets: Annotated[int, Range(4)] = 320
    """Groups of distances that have biases of their own, half of them for each direction."""
    max_distance: Count = 800
    """Frames beyond which all distances of a direction share one bias."""


class GatedBlock(Block):
    """A block that scales the relative biases by what the query's frame holds. Arguments as those of `Block`."""

    def __init__(self, width: int, num_heads: int, ffn_width: int, **options: object) -> None:
        super().__init__(width, num_heads, ffn_width, **options)  # type: ignore[arg-type]
        self.gates = nn.Linear(width // num_heads, 8)
        self.gate_scale = nn.Parameter(torch.ones(num_heads))

    def gate(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., H): g_u (g_r s - 1) + 2, both gates from each head's share of the attention's input."""
        heads = x.unflatten(-1, (self.num_heads, -1))  # (..., H, D / H)
        update, reset = self.gates(heads).unflatten(-1, (2, 4)).sum(-1).sigmoid().unbind(-1)
        gate: Tensor = update * (reset * self.gate_scale - 1.0) + 2.0
        return gate


class WavLM(WaveformEncoder):
    """HuBERT's encoder with gated relative position biases, which are computed once and shared by all blocks."""

    Config = WavLMConfig
    block = GatedBlock
    in_transformers = ("wavlm", "WavLMModel")
    original_mask = "any_sample"

    def __init__(self, config: WavLMConfig | None = None) -> None:
        super().__init__(config)
        self.relative_position = nn.Embedding(self.config.num_buckets, self.config.num_heads)

    def by_distance(self, frames: int) -> Tensor:
        """(H, 2 frames - 1): the bias of each head for distances -(frames - 1) to frames - 1."""
        distance = torch.arange(1 - frames, frames, device=self.relative_position.weight.device)
        buckets = distance_buckets(distance, self.config.num_buckets, self.config.max_distance)
        biases: Tensor = self.relative_position(buckets)
        return biases.t().contiguous()


def distance_buckets(distance: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Key minus query -> bucket. Each direction has half of the buckets: near distances one each, further ones on a
    logarithmic scale up to `max_distance`, as in T5 (arXiv:1910.10683, section 2.1).

    >>> distance_buckets(torch.tensor([-800, -80, -1, 0, 1, 79, 80]), 320, 800).tolist()
    [159, 80, 1, 0, 161, 239, 240]
    """
    half = num_buckets // 2
    near = half // 2
    size = distance.abs()
    # Float32 for certain: half precision would move one distance in twenty to a neighbouring bucket.
    scaled = torch.log(size.clamp(min=1).float() / near) / math.log(max_distance / near) * (half - near)
    far = (near + scaled.long()).clamp(max=half - 1)
    return torch.where(size < near, size, far) + half * (distance > 0)
