"""One sound added to a part of another, at a level of its own."""

from __future__ import annotations

from torch import Tensor


def mixed(sound: Tensor, other: Tensor, start: int, level_db: float) -> Tensor:
    """The sound (S,) with the other (s,) added from sample `start` on.

    sound: what stays as it is beside it.
    other: what is added, not longer than what is left of the sound.
    start: the first sample of it.
    level_db: by which the mean power of the whole sound is above that of the other.
    Silence has no level. Where one of the two is silent, the sound comes back.
    """
    power, own = float(sound.square().mean()), float(other.square().mean())
    made = sound.clone()
    if power > 0 and own > 0:
        factor = (power / own / 10 ** (level_db / 10)) ** 0.5
        made[start : start + len(other)] += factor * other.to(sound)
    return made
