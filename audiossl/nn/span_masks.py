"""Random spans for SpecAugment-style masks (arXiv:1904.08779), as wav2vec 2.0 draws them (arXiv:2006.11477, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def span_mask(lengths: Tensor, size: int, prob: float, span: int) -> Tensor:
    """(B, size) bool: spans of `span` positions within each item's first `lengths` (B,), True where masked.

    lengths: positions of each item.
    size: of the mask.
    prob: share of positions that spans would cover if none overlapped.
    span: positions of a span.

    The number of spans is prob * length / span, rounded up or down at random so that its mean is exact. Starts are
    drawn without replacement from the positions from which a whole span fits. An item shorter than a span is left
    alone.
    """
    device = lengths.device
    starts = (lengths - span + 1).clamp(min=0)  # (B,) positions where a span may start
    wanted = (prob * lengths / span + torch.rand(lengths.shape, device=device)).floor().minimum(starts)
    # The `wanted` smallest of uniform keys are a draw without replacement.
    keys = torch.rand(len(lengths), size, device=device)
    keys = keys.masked_fill(torch.arange(size, device=device) >= starts[:, None], 2.0)
    chosen = keys.argsort(dim=1).argsort(dim=1) < wanted[:, None]
    reach = torch.cumsum(chosen.int(), dim=1)
    before = torch.nn.functional.pad(reach, (span, 0))[:, :size]
    return reach > before  # a start within the last `span` positions


def draw_span_masks(
    frames: Sequence[int],
    size: int,
    prob: float,
    span: int,
    draws: Sequence[torch.Generator],
    *,
    min_spans: int = 0,
) -> Tensor:
    """(B, size) bool on the CPU: as `span_mask`, each item by a draw of its own, so not by the batch that it is in.

    frames: positions of each item.
    size: of the mask.
    prob: share of positions that spans would cover if none overlapped.
    span: positions of a span.
    draws: a generator on the CPU for each item.
    min_spans: the least number of spans of an item that is long enough for them.
    """
    masks = torch.zeros(len(frames), size, dtype=torch.bool)
    reach = torch.arange(span)
    for mask, count, draw in zip(masks, frames, draws, strict=True):
        wanted = int(prob * count / span + float(torch.rand((), generator=draw)))
        starts = torch.randperm(max(count - span + 1, 0), generator=draw)[: max(wanted, min_spans)]
        mask[(starts[:, None] + reach).flatten()] = True
    return masks
