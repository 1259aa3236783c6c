"""A sample of frames of any number of recordings, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from audiossl.nn.draws import keyed_generator

_SPARE = 0.25  # of the capacity, that fills up before the largest keys are thrown out
_BLOCK = 65536  # frames that are moved at once


class FrameSample:
    """The frames with the smallest of random keys, which follow from seed, recording and place in it.

    What is drawn therefore does not depend on the order in which recordings come.

    capacity: most frames that are kept.
    width: D of a frame.
    seed: of the keys.
    """

    def __init__(self, capacity: int, width: int, seed: int) -> None:
        self.capacity, self.seed = max(capacity, 1), seed
        self.num_seen = 0
        size = self.capacity + max(int(_SPARE * self.capacity), 1)
        # Memory that is never written to is never taken.
        self._frames, self._keys = np.empty((size, width), dtype=np.float32), np.empty(size)
        self._held, self._bar = 0, 1.0

    def add(self, name: str, states: Tensor) -> None:
        """Look at the frames (T, D) of a recording, by its id."""
        keys = torch.rand(len(states), dtype=torch.float64, generator=keyed_generator(self.seed, name, "frames"))
        self.num_seen += len(states)
        chosen = (keys < self._bar).nonzero()[:, 0]
        frames, found = states.detach().float().cpu()[chosen].numpy(), keys[chosen].numpy()
        while len(found):
            room = min(len(self._keys) - self._held, len(found))
            self._frames[self._held : self._held + room] = frames[:room]
            self._keys[self._held : self._held + room] = found[:room]
            self._held += room
            frames, found = frames[room:], found[room:]
            if self._held == len(self._keys):
                self._throw_out()

    def drawn(self) -> Tensor:
        """(N, D) in the order of their keys, a random one."""
        order = np.argsort(self._keys[: self._held])[: self.capacity]
        return torch.from_numpy(self._frames[order])

    def _throw_out(self) -> None:
        kept = np.sort(np.argpartition(self._keys[: self._held], self.capacity - 1)[: self.capacity])
        # Places only fall, so that block by block nothing is overwritten before it is moved.
        for first in range(0, self.capacity, _BLOCK):
            part = kept[first : first + _BLOCK]
            self._frames[first : first + len(part)] = self._frames[part]
            self._keys[first : first + len(part)] = self._keys[part]
        self._held, self._bar = self.capacity, float(self._keys[: self.capacity].max())


class DistinctFrames:
    """Each different frame of any number of recordings, for frames of which there are few: a quantiser's."""

    def __init__(self) -> None:
        self.num_seen = 0
        self._found: dict[bytes, Tensor] = {}

    def add(self, name: str, states: Tensor) -> None:
        """Look at the frames (T, D) of a recording, by its id."""
        self.num_seen += len(states)
        for frame in states.detach().float().cpu().unique(dim=0):
            self._found.setdefault(frame.numpy().tobytes(), frame)

    def drawn(self) -> Tensor:
        """(K, D), in an order that does not depend on that of the recordings."""
        return torch.stack([self._found[key] for key in sorted(self._found)])


def capacity_of(max_gb: float, width: int) -> int:
    """Frames of which sample and ordered copy take so many gigabytes together.

    >>> capacity_of(2.0, 768)
    289351
    """
    return max(1, int(max_gb * 1e9 / (4 * width * (2 + _SPARE))))
