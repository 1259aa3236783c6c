"""A bank of filters from a high sampling rate to bands at a lower one.

Band k holds the frequencies from k r/2 to (k+1) r/2 of the input, shifted down to 0 ... r/2, where r is the rate of the
output. Single-sideband demodulation (Weaver, 1956) shifts the band's centre f = (2k+1) r/4 to 0, keeps what is below
r/4, shifts it up by r/4 and takes twice the real part. At output sample j, that is at time j/r, and with u the distance
of an input sample from it, both shifts together are a factor

    2 cos(2 pi f u / R - pi k j) = (-1)^(k j) 2 cos(2 pi f u / R),        R the rate of the input,

so that the whole is one real filter, read at the output's samples. Its sign alternates in odd bands. (Plain decimation
would turn these upside down.) Filter and decimation are one strided convolution: differentiable, and of an item's own
samples alone, since what lies beyond its ends is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.masking import valid_frames

_CROSSINGS = 64  # zero crossings of the low-pass at r/2 on each side
_BETA = 8.0  # Kaiser window: about 80 dB
# Half of the transition, as a share of r: by Kaiser's formula a filter that lasts 2 * crossings / r has all of it in
# (80 - 8) / 14.36 / (2 * crossings / r).
_HALF_TRANSITION = (80 - 8) / 14.36 / (2 * _CROSSINGS) / 2


class Bands(nn.Module):
    """wavs (B, S) at `from_hz` -> (B, bands, ceil(S * to_hz / from_hz)) at `to_hz`.

    from_hz: rate of the input.
    to_hz: rate of the output.
    bands: 0 for the usual resampling: one band without anything above to_hz / 2 (its cutoff lies so much lower that
    nothing is folded back). From 1 on, neighbouring bands meet at half amplitude, so that nothing between them is lost.
    """

    def __init__(self, from_hz: int, to_hz: int, bands: int = 0) -> None:
        super().__init__()
        common = math.gcd(from_hz, to_hz)
        self.up, self.down, self.num_bands = to_hz // common, from_hz // common, max(bands, 1)
        self.reach = math.ceil(_CROSSINGS * from_hz / to_hz)  # input samples that a filter sees on each side
        # Not a buffer: a cast to half precision of the encoder must not reach the filters.
        self.taps = _taps(from_hz, to_hz, bands, self.reach)

    @overload
    def num_samples(self, num_samples: int) -> int: ...
    @overload
    def num_samples(self, num_samples: Tensor) -> Tensor: ...
    def num_samples(self, num_samples: int | Tensor) -> int | Tensor:
        """How many samples come of so many: their times lie inside the recording."""
        return (num_samples * self.up + self.down - 1) // self.down

    def fewest(self, num_samples: int) -> int:
        """The fewest input samples that give so many."""
        return (num_samples - 1) * self.down // self.up + 1

    def most(self, num_samples: int) -> int:
        """The most input samples that give so many."""
        return num_samples * self.down // self.up

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """wavs (B, S), zero beyond lengths (B,). The result is zero beyond `num_samples(lengths)`."""
        made = self._filtered(F.pad(wavs.float(), (self.reach, self.down + self.reach)))
        made = made[..., : self.num_samples(wavs.shape[1])]
        inside = valid_frames(self.num_samples(lengths), made.shape[-1])[:, None]
        return torch.where(inside, made, made.new_zeros(()))

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Of a recording in blocks (S,): the bands (num_bands, S') in blocks, together what `forward` gives."""
        held: Tensor | None = None
        num_read = num_given = 0
        for block in blocks:
            num_read += len(block)
            held = F.pad(block, (self.reach, 0)) if held is None else torch.cat([held, block])
            groups = (len(held) - 2 * self.reach) // self.down
            if groups > 0:
                part = held[None, : groups * self.down + 2 * self.reach]
                yield self._filtered(part, num_given)[0]
                num_given += groups * self.up
                held = held[groups * self.down :]
        if held is not None and (left := self.num_samples(num_read) - num_given) > 0:
            rest = F.pad(held, (0, 2 * self.reach + self.down))
            yield self._filtered(rest[None], num_given)[0, :, :left]

    def _filtered(self, wavs: Tensor, first: int = 0) -> Tensor:
        """(B, S + 2 reach) -> (B, num_bands, up * (S // down)), beginning with output sample `first`."""
        with torch.autocast(wavs.device.type, enabled=False):
            taps = self.taps.to(wavs.device)
            made = F.conv1d(wavs[:, None].float(), taps, stride=self.down)  # (B, num_bands * up, groups)
        made = made.unflatten(1, (self.num_bands, self.up)).transpose(2, 3).flatten(2)
        if self.num_bands > 1:
            number = torch.arange(first, first + made.shape[-1], device=made.device)
            band = torch.arange(self.num_bands, device=made.device)[:, None]
            made = torch.where(number * band % 2 == 1, -made, made)
        return made


def _taps(from_hz: int, to_hz: int, bands: int, reach: int) -> Tensor:
    """(num_bands * up, 1, 2 reach + down): for each output sample of a period, the weights of the input's samples.

    from_hz: rate of the input.
    to_hz: rate of the output.
    bands: as in `Bands`.
    reach: input samples that a filter sees on each side.
    """
    common = math.gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    place = torch.arange(-reach, reach + down, dtype=torch.float64)  # of input samples, from the period's first
    centre = torch.arange(up, dtype=torch.float64)[:, None] * down / up  # of output samples
    u = (place - centre) / from_hz  # (up, taps) seconds
    width = _CROSSINGS / to_hz
    window = torch.special.i0(_BETA * (1 - (u / width).square()).clamp(min=0).sqrt()) / torch.special.i0(
        torch.tensor(_BETA, dtype=torch.float64)
    )
    window = torch.where(u.abs() <= width, window, 0.0)
    if not bands:
        cutoff = to_hz * (0.5 - _HALF_TRANSITION)
        filters = [2 * cutoff / from_hz * torch.sinc(2 * cutoff * u) * window]
    else:
        low_pass = to_hz / 2 / from_hz * torch.sinc(to_hz / 2 * u) * window
        filters = [2 * low_pass * torch.cos(math.pi * (2 * k + 1) * to_hz / 2 * u) for k in range(bands)]
    return torch.cat(filters)[:, None].float()
