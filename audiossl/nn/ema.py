"""A teacher that is the exponential moving average of a student (arXiv:1703.01780), and the ramp of its decay."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EmaTeacher(nn.Module):
    """A copy of a student that never trains: theta' <- tau theta' + (1 - tau) theta after each update.

    Its tensors are part of the state of whatever holds it, so a resumed run goes on exactly.

    student: what is copied.
    averaged: beginnings of the names of the parameters that are averaged, for instance 'blocks.'. All others follow
    the student, as buffers do always. Empty for all parameters.
    """

    def __init__(self, student: nn.Module, averaged: Sequence[str] = ()) -> None:
        super().__init__()
        self.model = copy.deepcopy(student).requires_grad_(False).eval()
        self.averaged = tuple(averaged) or ("",)

    def train(self, mode: bool = True) -> EmaTeacher:
        """The teacher stays in evaluation mode: its targets have no dropout."""
        self.training = mode
        return self

    @torch.no_grad()
    def update(self, student: nn.Module, tau: float) -> None:
        """Move towards the student, after whose update it is called."""
        theirs = dict(student.named_parameters())
        pairs = [(name, own, theirs[name]) for name, own in self.model.named_parameters()]
        moved = [(own, new) for name, own, new in pairs if name.startswith(self.averaged)]
        average = get_ema_multi_avg_fn(tau)
        average([own for own, _ in moved], [new.to(own.dtype) for own, new in moved], 0)
        buffers = zip(self.model.buffers(), student.buffers(), strict=True)
        followed = [(own, new) for name, own, new in pairs if not name.startswith(self.averaged)]
        for own, new in [*followed, *buffers]:
            own.copy_(new)


def linear_ramp(step: int, start: float, end: float, steps: int) -> float:
    """From `start` to `end` in a straight line.

    step: from 0.
    start: the value at step 0.
    end: the value from `steps` on.
    steps: the length of the ramp.

    >>> [round(linear_ramp(step, 0.9, 1.0, 10), 2) for step in (0, 5, 10, 99)]
    [0.9, 0.95, 1.0, 1.0]
    """
    return end if step >= steps else start + (end - start) * step / steps
