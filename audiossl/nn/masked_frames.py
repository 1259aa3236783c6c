"""The masked frames of a batch, gathered: (B, T, D) -> (N, D), or (B, M, D) with M the most that an item has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from audiossl.nn.masking import valid_frames


@dataclass(frozen=True)
class MaskedFrames:
    """Where the masked frames of a batch are.

    mask: (B, T) bool, True where masked.
    items: (N,), which item each masked frame is of, in order.
    frames: (N,), its number there.
    counts: (B,) masked frames of each item.
    numbers: the counts, on the host.
    """

    mask: Tensor
    items: Tensor
    frames: Tensor
    counts: Tensor
    numbers: tuple[int, ...]

    @property
    def valid(self) -> Tensor:
        """(B, M) bool, True for what is a masked frame."""
        return valid_frames(self.counts, max(self.numbers))

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (N, D), the masked frames of all items one after the other."""
        return x[self.items, self.frames]

    def padded(self, rows: Tensor) -> Tensor:
        """(N, ...) as of `rows` -> (B, M, ...), zero beyond each item's own."""
        return pad_sequence(list(rows.split(list(self.numbers))), batch_first=True)


def locate(mask: Tensor) -> MaskedFrames:
    """Of a mask (B, T). It is read back once from an accelerator, which then waits for nothing more."""
    on_host = mask.cpu()
    items, frames = on_host.nonzero(as_tuple=True)
    counts = on_host.sum(dim=1)
    numbers = tuple(counts.tolist())
    items, frames, counts = (each.to(mask.device, non_blocking=True) for each in (items, frames, counts))
    return MaskedFrames(mask, items, frames, counts, numbers)


def mean_square(x: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """The mean square () of each item's real frames, averaged over items by how many frames count.

    x: (B, T, F).
    frames: (B,), how many are real.
    counts: (B,), how many count, for instance those that are masked.
    """
    return mean_over_frames(x.float().square().mean(-1), frames, counts)


def mean_over_frames(x: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """The mean () of each item's real frames, averaged over items by how many frames count.

    x: (B, T).
    frames: (B,), how many are real.
    counts: (B,), how many count.
    """
    inside = torch.where(valid_frames(frames, x.shape[1]), x, 0.0)
    return (inside.sum(1) / frames * counts).sum() / counts.sum().clamp(min=1)
