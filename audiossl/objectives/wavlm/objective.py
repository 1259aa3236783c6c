"""Masked prediction of units in spite of others (WavLM, arXiv:2110.13900, section IV-B).

To some utterances a part of another one, or of noise, is added, at most half as long. The units to predict stay those
of the utterance itself, so that the encoder must tell who the main speaker is. The gated position bias of the paper is
the encoder's (`upstream: wavlm`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Finite, Range, Share
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest
from audiossl.data.partners import Partners
from audiossl.encoders.upstream import Upstream
from audiossl.nn.augmentations import noise_bank
from audiossl.nn.mixing import mixed
from audiossl.objectives.hubert.objective import HubertObjective, UnitPredictionConfig
from audiossl.training.objective import Surroundings


@dataclass(frozen=True)
class DenoisingConfig(UnitPredictionConfig):
    """As HuBERT's, and how utterances are mixed."""

    mix_prob: Share = 0.2
    """Share of the utterances that something is added to."""
    noise_prob: Share = 0.0
    """Share of those to which noise is added, and not another utterance."""
    noises: str = ""
    """Manifest of recordings of noise. Empty for white, pink and brown noise."""
    longest: Annotated[float, Range(above=0, most=1)] = 0.5
    """Longest part that is added, as a share of the utterance."""
    mix_db: tuple[Finite, Finite] = (-5.0, 5.0)
    """Lowest and highest level of an utterance above the other one."""
    noise_db: tuple[Finite, Finite] = (-5.0, 20.0)
    """Lowest and highest level of an utterance above noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mix_db", "noise_db"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name}=[{low:g}, {high:g}] must go from the lower to the higher.")


class WavlmObjective(HubertObjective):
    """HuBERT's heads and labels. Other utterances are read from the training rows, not taken from the batch."""

    Config = DenoisingConfig
    config: DenoisingConfig

    def __init__(self, upstream: Upstream, config: DenoisingConfig | None = None) -> None:
        config = config or DenoisingConfig()
        super().__init__(upstream, config)
        self._utterances: Partners | None = None
        self._noises = Partners(read_manifest(Path(config.noises))) if config.noises else None
        if config.noise_prob and not config.noises:
            self.register_buffer("bank", noise_bank(), persistent=False)

    def prepare(self, surroundings: Surroundings) -> None:
        super().prepare(surroundings)
        self.mix_with(Partners(surroundings.rows["train"]))

    def mix_with(self, utterances: Partners) -> None:
        """Set what other utterances are drawn from."""
        self._utterances = utterances

    def heard(self, batch: Batch) -> Tensor:
        """The sound with what is added to it, in evaluation too, where it is the same each time."""
        wavs, lengths = batch.wavs.clone(), batch.lengths.tolist()
        draws = self.draws(batch, self.config.seed, "mix")
        for item, (draw, length) in enumerate(zip(draws, lengths, strict=True)):
            if float(torch.rand((), generator=draw)) < self.config.mix_prob:
                own = batch.cuts[item].id if batch.cuts else ""
                wavs[item, :length] = self._beside_another(wavs[item, :length], draw, own)
        return wavs

    def _beside_another(self, sound: Tensor, draw: torch.Generator, own: str) -> Tensor:
        """An utterance (S,) with noise, or a part of another one, by its draw."""
        config = self.config
        of_noise, level, lasting, where = torch.rand(4, generator=draw).tolist()
        is_noise = of_noise < config.noise_prob
        low, high = config.noise_db if is_noise else config.mix_db
        size = int(lasting * config.longest * len(sound))
        if not size:
            return sound
        other = self._noise(draw, size) if is_noise else self._utterance(draw, size, own)
        start = int(where * (len(sound) - len(other) + 1))
        return mixed(sound, other.to(sound.device), min(start, len(sound) - len(other)), low + (high - low) * level)

    def _utterance(self, draw: torch.Generator, size: int, own: str) -> Tensor:
        if self._utterances is None:
            raise ConfigError(
                "wavlm draws other utterances from the training rows, and was given none; call "
                "objective.mix_with(Partners(rows)), or set mix_prob=0 or noise_prob=1."
            )
        return torch.from_numpy(self._utterances.draw(draw, size, self.upstream.sample_rate_hz, beside=own))

    def _noise(self, draw: torch.Generator, size: int) -> Tensor:
        if self._noises is not None:
            return torch.from_numpy(self._noises.draw(draw, size, self.upstream.sample_rate_hz))
        bank: Tensor = self.bank  # type: ignore[assignment]
        row, first = torch.randint(len(bank), (), generator=draw), torch.randint(bank.shape[1], (), generator=draw)
        places = (int(first) + torch.arange(size, device=bank.device)) % bank.shape[1]
        return bank[int(row), places]
