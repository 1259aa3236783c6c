"""Spectral features behind the upstream contract: no parameters, one layer.

The defaults of fbank and mfcc are those of SUPERB (Yang et al., 2021, arXiv:2105.01051). Mean normalisation over the
utterance makes the mean over time of every feature exactly zero, so a linear head before a mean sees nothing of it. Of
fbank such a head is near chance. log_mel leaves the normalisation off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiossl.core.ranges import Count, CountOrZero, Finite, NonNegative
from audiossl.encoders.upstream import Upstream
from audiossl.nn import filterbank


@dataclass(frozen=True)
class SpectralConfig:
    """What all spectral features have in common. Kaldi's have a floor of their own in place of `log_eps`."""

    sample_rate_hz: Count = 16000
    """Sampling rate of the waveform in Hz."""
    num_features: Count = 80
    """Mel bands, or cepstra for mfcc (the spectrogram takes its bins from the window)."""
    deltas: CountOrZero = 0
    """Orders of differences over time that are appended, 0 for none."""
    cmvn: bool = False
    """Whether each band gets zero mean and unit variance over the utterance."""
    level_db: Finite | None = None
    """Level in dB full scale to which the waveform is scaled first, null to leave it as it is."""
    log_eps: NonNegative = 1e-10
    """Added to power before the logarithm."""


class SpectralUpstream(Upstream):
    """A front end, then deltas, then normalisation."""

    def __init__(self, config: SpectralConfig, frontend: filterbank.Frontend, width: int) -> None:
        super().__init__()
        self.config = config
        self.sample_rate_hz = config.sample_rate_hz
        self.frontend = frontend
        self.widths = (width * (config.deltas + 1),)
        self.stride, self.receptive_field, self.edge = frontend.hop, frontend.win, frontend.edge

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        with torch.autocast(wavs.device.type, enabled=False):  # logarithms of power need float32
            wavs = wavs.float()
            if self.config.level_db is not None:
                wavs = filterbank.set_level(wavs, lengths, self.config.level_db)
            x = self.frontend(wavs, lengths)  # (B, T, D)
            frames = self.num_frames(lengths)
            if self.config.deltas:
                x = filterbank.add_deltas(x, frames, self.config.deltas)
            return (filterbank.normalize_utterance(x, frames) if self.config.cmvn else x,)


class LogMel(SpectralUpstream):
    """Log mel power spectrum (B, T, num_features)."""

    @dataclass(frozen=True)
    class Config(SpectralConfig):
        """Plain log mel bands, nothing normalised."""

    def __init__(self, config: SpectralConfig | None = None) -> None:
        config = config or self.Config()
        frontend = filterbank.CentredLogMel(config.sample_rate_hz, config.num_features, eps=config.log_eps)
        super().__init__(config, frontend, config.num_features)


class Spectrogram(SpectralUpstream):
    """Log power spectrum (B, T, win // 2 + 1)."""

    @dataclass(frozen=True)
    class Config(SpectralConfig):
        """Plain log power, nothing normalised."""

    def __init__(self, config: SpectralConfig | None = None) -> None:
        config = config or self.Config()
        frontend = filterbank.CentredSpectrogram(config.sample_rate_hz, eps=config.log_eps)
        super().__init__(config, frontend, frontend.win // 2 + 1)


class Fbank(SpectralUpstream):
    """Kaldi filterbank (B, T, num_features * 3)."""

    @dataclass(frozen=True)
    class Config(SpectralConfig):
        """SUPERB's FBANK."""

        deltas: CountOrZero = 2
        """Orders of differences over time that are appended, 0 for none."""
        cmvn: bool = True
        """Whether each band gets zero mean and unit variance over the utterance."""

    def __init__(self, config: SpectralConfig | None = None) -> None:
        config = config or self.Config()
        frontend = filterbank.KaldiFbank(config.sample_rate_hz, config.num_features)
        super().__init__(config, frontend, config.num_features)


class Mfcc(SpectralUpstream):
    """Kaldi cepstra (B, T, num_features * 3)."""

    @dataclass(frozen=True)
    class Config(SpectralConfig):
        """The cepstra that s3prl calls mfcc."""

        num_features: Count = 13
        """Cepstra."""
        deltas: CountOrZero = 2
        """Orders of differences over time that are appended, 0 for none."""
        cmvn: bool = True
        """Whether each cepstrum gets zero mean and unit variance over the utterance."""

    def __init__(self, config: SpectralConfig | None = None) -> None:
        config = config or self.Config()
        frontend = filterbank.KaldiMfcc(config.sample_rate_hz, config.num_features)
        super().__init__(config, frontend, config.num_features)
