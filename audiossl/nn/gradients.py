"""A gradient that is scaled on its way back, for parts of a network that are to learn more slowly than the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x as it is, whose gradient is `factor` times that of what follows. With 0 nothing goes back.

    >>> x = torch.ones(2, requires_grad=True)
    >>> scale_gradient(x, 0.1).sum().backward()
    >>> x.grad
    tensor([0.1000, 0.1000])
    """
    if factor == 1:
        return x
    if factor == 0:
        return x.detach()
    scaled: Tensor = _Scaled.apply(x, factor)
    return scaled
