"""Two views of an utterance whose mean states should be alike (SimCLR, arXiv:2002.05709, on spectral frames).

A view is a random part of the utterance, heard through a random channel. Two views share the speaker and, where the
parts overlap, the words. Reconstruction alone rewards neither in the mean over time, and a linear head on mean states
reads nothing else. Views from the two halves of a long utterance share the voice and the recording, but no words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_CHANNEL_POINTS = 5  # the random channel is linear between them: a tilt with a few bends, not a band here or there
_SHORTEST_FRAMES = 30  # 0.3 s: less holds no word


def random_view(
    x: Tensor, shortest: float, channel_std: float, draw: torch.Generator, longest: int | None = None
) -> Tensor:
    """A part of an utterance, plus one smooth curve over the bands of every frame.

    x: the utterance (T, F).
    shortest: least share of the utterance, or of `longest` frames where it has more than those.
    channel_std: spread of the curve.
    draw: what part and curve are drawn by.
    longest: most frames of the part, None for as many as there are.
    Returns the part (T', F).
    """
    num_frames, num_bands = x.shape
    most = min(num_frames, longest or num_frames)
    share = shortest + (1 - shortest) * float(torch.rand((), generator=draw))
    kept = min(num_frames, max(round(most * share), _SHORTEST_FRAMES))
    first = int(torch.randint(num_frames - kept + 1, (), generator=draw))
    points = channel_std * torch.randn(1, 1, _CHANNEL_POINTS, generator=draw)
    curve = F.interpolate(points, size=num_bands, mode="linear", align_corners=True)[0, 0]
    return x[first : first + kept] + curve.to(x)


def contrastive_loss(means: Tensor, temperature: float, names: Sequence[str] | None = None) -> Tensor:
    """InfoNCE on means (2 N, D), where rows n and n + N are views of one utterance: the mean over rows of

        -log( exp(s(n, n') / t) / sum over m of exp(s(n, m) / t) ),   s: cosine similarity,

    where n' is the other view, and m is n' and every row of another utterance. It is 0 for a single utterance, which
    has nothing to be told from.

    means: (2 N, D).
    temperature: t.
    names: N, of the utterances. Equal ones are parts of one and are not told apart. By default all differ.
    """
    count = len(means) // 2
    unit = F.normalize(means.float(), dim=-1)
    other = torch.arange(len(unit), device=unit.device).roll(count)
    ids = list(range(count)) if names is None else [names.index(name) for name in names]
    owner = torch.tensor(ids * 2, device=unit.device)
    left_out = owner[:, None] == owner
    left_out[other.roll(count), other] = False
    similarity = (unit @ unit.mT / temperature).masked_fill(left_out, -torch.inf)
    return F.cross_entropy(similarity, other)
