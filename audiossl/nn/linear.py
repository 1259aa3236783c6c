"""Linear layers between widths and types that may differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def linear_or_identity(width: int, new_width: int) -> nn.Module:
    """A projection where the widths differ, nothing where they are equal."""
    return nn.Identity() if width == new_width else nn.Linear(width, new_width)


def project(linear: nn.Module, x: Tensor) -> Tensor:
    """A linear layer on states that may have another dtype, as those of a bfloat16 encoder have."""
    if isinstance(linear, nn.Linear) and not torch.is_autocast_enabled(x.device.type):
        x = x.to(linear.weight.dtype)
    projected: Tensor = linear(x)
    return projected


def in_dtype_of(parameter: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    """The states in the type of the parameter that they meet."""
    return [state.to(parameter.dtype) for state in states]
