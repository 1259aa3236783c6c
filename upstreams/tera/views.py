"""Two views of an utterance whose mean states should be alike (SimCLR, arXiv:2002.05709, on spectral frames).

A view is a random part of the utterance, heard through a random channel. What two views share is who speaks and, as the
parts overlap, what is said: reconstruction alone rewards neither in the mean over time, which is what a linear head on
mean states reads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_CHANNEL_POINTS = 5  # the random channel is linear between them: a tilt with a few bends, not a band here or there
_SHORTEST_FRAMES = 30  # 0.3 s: less holds no word


def random_view(x: Tensor, shortest: float, channel_std: float, draw: torch.Generator) -> Tensor:
    """A part of an utterance (T, F), at least `shortest` of it, plus one smooth curve over the bands of every frame."""
    num_frames, num_bands = x.shape
    share = shortest + (1 - shortest) * float(torch.rand((), generator=draw))
    kept = min(num_frames, max(round(num_frames * share), _SHORTEST_FRAMES))
    first = int(torch.randint(num_frames - kept + 1, (), generator=draw))
    points = channel_std * torch.randn(1, 1, _CHANNEL_POINTS, generator=draw)
    curve = F.interpolate(points, size=num_bands, mode="linear", align_corners=True)[0, 0]
    return x[first : first + kept] + curve.to(x)


def contrastive_loss(means: Tensor, temperature: float) -> Tensor:
    """InfoNCE on (2 N, D), where rows n and n + N are views of one utterance: mean over rows of

        -log( exp(s(n, n') / t) / sum over m other than n of exp(s(n, m) / t) ),   s: cosine similarity.

    0 for a single utterance, which has nothing to be told from.
    """
    unit = F.normalize(means.float(), dim=-1)
    similarity = (unit @ unit.mT / temperature).masked_fill(
        torch.eye(len(unit), dtype=torch.bool, device=unit.device), -torch.inf
    )
    other = torch.arange(len(unit), device=unit.device).roll(len(unit) // 2)
    return F.cross_entropy(similarity, other)
