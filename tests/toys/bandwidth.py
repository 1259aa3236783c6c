"""Tones at the rate of bats."""

from __future__ import annotations

import torch

RATE = 32000


def tone(hz: float, num_samples: int = RATE, rate: int = RATE) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(num_samples, dtype=torch.float64) / rate).float()
