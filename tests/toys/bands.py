"""An encoder that hears which tones sound."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiossl.encoders.upstream import Upstream


class Bands(Upstream):
    """Log energies in eight bands of the spectrum, then layers of a linear map and tanh that have the same weights.

    Lengths matter only through its input being zero behind them. Frames of 320 samples every 160.
    """

    def __init__(self, num_layers: int = 1, num_bins: int = 160, least: float = 1e-3) -> None:
        super().__init__()
        self.widths, self.stride, self.receptive_field = (8,) * num_layers, 160, 320
        self.num_bins, self.least = num_bins, least
        self.mix = nn.Linear(8, 8) if num_layers > 1 else nn.Identity()

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        spectrum = torch.fft.rfft(wavs.unfold(1, 320, 160)).abs()[..., : self.num_bins]
        states = [spectrum.unflatten(-1, (8, -1)).sum(dim=-1).add(self.least).log()]
        for _ in range(last):
            states.append(self.mix(states[-1]).tanh())
        return states
