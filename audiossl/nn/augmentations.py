"""Waveforms as another room, another microphone or another street would have them: reverberation, channel, noise, gain.

All is made here, without recordings of noises and rooms. What is drawn for an item follows from its generator alone, in
a few numbers, so that it is the same on every device. Noise is read from a fixed bank at a drawn place.

Rooms are exponentially decaying noise behind a direct sound (Polack's model), channels smooth curves over frequency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Finite, NonNegative, Positive, Share, check_ranges
from audiossl.nn.masking import valid_frames

_BANK = 1 << 19  # samples of each colour of noise
_COLOURS = (0.0, 1.0, 2.0)  # power falls with frequency to this power: white, pink, brown
_POINTS = 9  # of a channel's curve, which is linear between them
_DRAWS = 13 + _POINTS  # numbers drawn for an item
_LONGEST_ROOM_S = 0.5


@dataclass(frozen=True)
class AugmentationConfig:
    """How often and how strongly sound is changed. By default nothing is."""

    reverb: Share = 0.0
    """Share of the items that are put into a room."""
    rt60_s: tuple[Positive, Positive] = (0.1, 0.6)
    """Shortest and longest time in which a room's sound falls by 60 dB."""
    channel: Share = 0.0
    """Share of the items that are heard through another channel."""
    channel_db: NonNegative = 4.0
    """Spread of a channel's curve over frequency."""
    noise: Share = 0.0
    """Share of the items that noise is added to: white, pink or brown."""
    snr_db: tuple[Finite, Finite] = (0.0, 25.0)
    """Lowest and highest level of an item above its noise."""
    mix: Share = 0.0
    """Share of the items that another item of the batch is added to."""
    mix_db: tuple[Finite, Finite] = (3.0, 20.0)
    """Lowest and highest level of an item above the other one."""
    gain_db: NonNegative = 0.0
    """Largest change of the level, up or down."""

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("rt60_s", "snr_db", "mix_db"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name}=[{low:g}, {high:g}] must go from the lower to the higher.")

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        return bool(self.reverb or self.channel or self.noise or self.mix or self.gain_db)


class Augmentation(nn.Module):
    """Changes the sound of a batch, each item by its own draw.

    config: how often and how strongly.
    sample_rate_hz: of the sound.
    """

    bank: Tensor

    def __init__(self, config: AugmentationConfig, sample_rate_hz: int) -> None:
        super().__init__()
        self.config, self.sample_rate_hz = config, sample_rate_hz
        if config.noise or config.reverb:
            self.register_buffer("bank", noise_bank(), persistent=False)

    @property
    def item_wise(self) -> bool:
        """Whether what becomes of an item depends on it alone."""
        return self.config.mix == 0

    def forward(self, wavs: Tensor, lengths: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        """Changed sound (B, S) of wavs (B, S), zero beyond lengths (B,). draws: one for each item."""
        config = self.config
        if not config.changes:
            return wavs
        drawn = torch.stack([torch.rand(_DRAWS, generator=draw) for draw in draws])
        drawn = drawn.to(wavs.device, non_blocking=True)
        inside = valid_frames(lengths, wavs.shape[1])
        with torch.autocast(wavs.device.type, enabled=False):
            x = wavs.float()
            level = _rms(x, lengths)
            if config.reverb or config.channel:
                x = torch.where(inside, self._filtered(x, drawn), 0.0)
                x = x * (level / _rms(x, lengths).clamp(min=1e-8))
            if config.mix:
                x = x + _at_level(x.roll(1, 0), lengths.roll(1, 0), level, config.mix_db, drawn[:, 0:1]) * (
                    drawn[:, 1:2] < config.mix
                )
            if config.noise:
                noise = self._noise(drawn[:, 2], drawn[:, 3], wavs.shape[1])
                noise = torch.where(inside, noise, 0.0)
                x = x + _at_level(noise, lengths, level, config.snr_db, drawn[:, 4:5]) * (drawn[:, 5:6] < config.noise)
            gain = 10 ** (config.gain_db * (2 * drawn[:, 6:7] - 1) / 20)
            return torch.where(inside, x * gain, 0.0).to(wavs.dtype)

    def _noise(self, colour: Tensor, place: Tensor, size: int) -> Tensor:
        """(B, size) of the bank, from colours and places drawn from 0 to 1, (B,)."""
        row = (colour * len(_COLOURS)).long().clamp(max=len(_COLOURS) - 1)
        start = (place * _BANK).long()
        step = torch.arange(size, device=place.device)
        return self.bank[row[:, None], (start[:, None] + step) % _BANK]

    def _filtered(self, x: Tensor, drawn: Tensor) -> Tensor:
        """(B, S) through each item's room and channel, by one transform."""
        config, size = self.config, x.shape[1]
        reach = round(_LONGEST_ROOM_S * self.sample_rate_hz) if config.reverb else 0
        points = 1 << (size + reach - 1).bit_length()
        spectrum = torch.fft.rfft(x, n=points)
        if config.reverb:
            room = torch.fft.rfft(self._rooms(drawn[:, 7:11], reach), n=points)
            spectrum = torch.where(drawn[:, 11:12] < config.reverb, spectrum * room, spectrum)
        if config.channel:
            # A curve of uniform draws with the spread channel_db, as a factor.
            curve = math.sqrt(12) * (drawn[:, None, 13:] - 0.5) * config.channel_db
            curve = F.interpolate(curve, size=spectrum.shape[1], mode="linear", align_corners=True)[:, 0]
            spectrum = torch.where(drawn[:, 12:13] < config.channel, spectrum * 10 ** (curve / 20), spectrum)
        return cast(Tensor, torch.fft.irfft(spectrum, n=points))[:, :size]

    def _rooms(self, drawn: Tensor, reach: int) -> Tensor:
        """(B, reach) impulse responses: 1, then noise that decays, at a direct-to-reverberant ratio of -3 to 12 dB."""
        time = torch.arange(reach, device=drawn.device) / self.sample_rate_hz
        low, high = self.config.rt60_s
        rt60 = low + (high - low) * drawn[:, 0:1]
        tail = self._noise(torch.zeros_like(drawn[:, 1]), drawn[:, 1], reach) * torch.exp(
            -3 * math.log(10) * time / rt60
        )
        ratio = 10 ** ((15 * drawn[:, 2:3] - 3) / 20)
        tail = tail / (tail.square().sum(1, keepdim=True).sqrt() * ratio)
        return torch.cat([torch.ones_like(tail[:, :1]), tail[:, 1:]], dim=1)


def noise_bank() -> Tensor:
    """(colours, samples) of noise with unit variance: white, pink and brown, always the same."""
    draw = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(_BANK, generator=draw))
    number = torch.arange(len(spectrum)).clamp(min=round(_BANK * 20 / 16000))  # flat below 20 Hz at 16 kHz
    rows = [torch.fft.irfft(spectrum * number.float() ** (-power / 2), n=_BANK) for power in _COLOURS]
    return torch.stack([cast(Tensor, row / row.std()) for row in rows])


def _rms(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, 1), of items that are zero beyond their lengths."""
    return (x.square().sum(1, keepdim=True) / lengths[:, None].clamp(min=1)).sqrt()


def _at_level(x: Tensor, lengths: Tensor, level: Tensor, below_db: tuple[float, float], drawn: Tensor) -> Tensor:
    """x (B, S) scaled to lie a drawn number of decibels below `level` (B, 1)."""
    low, high = below_db
    wanted = level / 10 ** ((low + (high - low) * drawn) / 20)
    return x * (wanted / _rms(x, lengths).clamp(min=1e-8))
