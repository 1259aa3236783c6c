"""One sound added to a part of another, at a level of its own."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(sound: Tensor, other: Tensor, start: int, level_db: float) -> Tensor:
    """The sound (S,) with the other (s,) added from sample `start` on.

    sound: what stays as it is beside it.
    other: what is added, not longer than what is left of the sound.
    start: the first sample of it.
    level_db: by which the mean power of the whole sound is above that of the other.
    Silence has no level. Where one of the two is silent, the sound comes back.
    """
    other = other.to(sound)
    power, own = sound.square().mean(), other.square().mean()
    ratio = (power / own / 10 ** (level_db / 10)).sqrt()
    made = sound.clone()
    made[start : start + len(other)] += torch.where((power > 0) & (own > 0), ratio, 0.0) * other
    return made
