"""InfoNCE among the frames of one utterance: the right target is told from distractors (arXiv:2006.11477, eq. 3).

The targets of an utterance serve as each other's distractors, so all cosines of an utterance are one matrix product,
from which those of the drawn distractors are picked. Nothing of size frames x distractors x width is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def draw_distractors(
    counts: Sequence[int], number: int, draws: Sequence[torch.Generator], device: torch.device | str = "cpu"
) -> Tensor:
    """(B, M, number): for each of an item's M targets, others of the same item, uniformly and with replacement.

    counts: targets of each item, of which M is the largest.
    number: of distractors.
    draws: one generator an item.
    device: of the result.

    An item with a single target has no others. Its distractors are the target itself, which a loss must leave out.
    """
    rows = []
    for count, draw in zip(counts, draws, strict=True):
        others = torch.randint(max(count - 1, 1), (count, number), generator=draw)
        skipped = others >= torch.arange(count)[:, None]  # the target itself is none of them
        rows.append(others + skipped if count > 1 else others)
    return pad_sequence(rows, batch_first=True).to(device)


def contrastive_logits(
    predictions: Tensor, targets: Tensor, distractors: Tensor, same: Tensor | None, temperature: float
) -> Tensor:
    """(B, M, 1 + K) cosines over `temperature`, in float32: of the right target, then of its distractors.

    predictions: (B, M, D).
    targets: (B, M, D).
    distractors: (B, M, K), which targets of the item.
    same: (B, M, M), True for targets that are identical, which are no distractors of each other and become -inf. None
    where only a target is identical to itself.
    temperature: of the softmax that these are the logits of.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        unit, other = F.normalize(predictions.float(), dim=-1), F.normalize(targets.float(), dim=-1)
        cosines = unit @ other.transpose(1, 2) / temperature  # (B, M, M)
    right = cosines.diagonal(dim1=1, dim2=2)[..., None]
    if same is None:
        same = torch.eye(cosines.shape[1], dtype=torch.bool, device=cosines.device).expand_as(cosines)
    return torch.cat([right, cosines.masked_fill(same, -math.inf).gather(2, distractors)], dim=2)


def contrastive_losses(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, M, 1 + K), the right one first -> losses (B, M), and whether the right one wins, bool (B, M).

    Where there is no distractor the loss is 0, and nothing is won.
    """
    best = logits[..., 1:].amax(-1)
    won = (logits[..., 0] > best) & best.isfinite()
    return logits.logsumexp(-1) - logits[..., 0], won


def same_codes(codes: Tensor) -> Tensor:
    """(B, M, G) -> bool (B, M, M): which targets of an item have the codes of all groups in common."""
    return (codes[:, :, None] == codes[:, None]).all(-1)


def pairwise_losses(views: Sequence[Tensor], temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE between every two views of a recording, summed over the pairs (arXiv:2406.07900).

    In a pair, each view finds the other view of its recording among those of all recordings of the batch. The loss of
    the pair is the mean of both directions.

    views: at least two, each (B, D).
    temperature: of the softmax over recordings.
    Returns (B,) losses, and (B,) the share of all directions in which the right one is the nearest.
    """
    units = [F.normalize(view.float(), dim=-1) for view in views]
    losses, right = [], []
    for first, second in combinations(units, 2):
        cosines = first @ second.T / temperature  # (B, B)
        for found in (cosines, cosines.T):
            losses.append((found.logsumexp(-1) - found.diagonal()) / 2)
            right.append((found.argmax(-1) == torch.arange(len(found), device=found.device)).float())
    return torch.stack(losses).sum(0), torch.stack(right).mean(0)
