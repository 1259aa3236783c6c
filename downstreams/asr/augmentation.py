"""SpecAugment (arXiv:1904.08779) on the sequence that the head reads: bands and spans set to zero, without the warp.

The masks of an item follow from (seed, epoch, its id): they are the same in whatever batch it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from audiossl.core.ranges import CountOrZero, Range, Seed, check_ranges
from audiossl.nn.draws import keyed_generator


@dataclass(frozen=True)
class SpecAugmentConfig:
    """Spans of frames and bands of channels that are set to zero in training."""

    num_time_masks: CountOrZero = 2
    """Spans of frames in each item. 0 for none."""
    time_width: CountOrZero = 20
    """A span has 0 to time_width - 1 frames."""
    longest_share: Annotated[float, Range(above=0, most=1)] = 0.2
    """A span is at most that share of the item."""
    num_feature_masks: CountOrZero = 2
    """Bands of neighbouring channels in each item. 0 for none."""
    feature_width: CountOrZero = 16
    """A band has 0 to feature_width - 1 channels."""
    seed: Seed = 0
    """Seed of the masks, beside the epoch and the item."""

    def __post_init__(self) -> None:
        check_ranges(self, "spec_augment")


def spec_augment(
    x: Tensor, lengths: Sequence[int], ids: Sequence[str], epoch: int, config: SpecAugmentConfig
) -> Tensor:
    """The sequences (B, T, D) with their masks set to zero.

    x: the sequences.
    lengths: frames of each item.
    ids: of the items. An item's masks depend on its id, the epoch and the seed alone.
    epoch: which one.
    config: how many masks there are, how wide, and their seed.
    """
    if not (config.num_time_masks or config.num_feature_masks):
        return x
    hidden = torch.zeros(x.shape, dtype=torch.bool)
    for item, (length, name) in enumerate(zip(lengths, ids, strict=True)):
        generator = keyed_generator("spec_augment", config.seed, epoch, name)
        longest = min(config.time_width, int(config.longest_share * length))
        for start, width in _spans(config.num_time_masks, longest, length, generator):
            hidden[item, start : start + width] = True
        for start, width in _spans(
            config.num_feature_masks, min(config.feature_width, x.shape[2]), x.shape[2], generator
        ):
            hidden[item, :, start : start + width] = True
    return x.masked_fill(hidden.to(x.device), 0.0)


def _spans(count: int, widest: int, size: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """(start, width) of spans: widths are uniform from 0 to widest - 1, starts uniform where the span fits.

    count: how many spans.
    widest: see above.
    size: of what they are in.
    generator: what draws.
    """
    draws = torch.rand(count, 2, generator=generator).tolist()
    widths = [int(draw * widest) for draw, _ in draws]
    return [(int(draw * (size - width + 1)), width) for (_, draw), width in zip(draws, widths, strict=True)]
