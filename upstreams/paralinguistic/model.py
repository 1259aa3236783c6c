"""The extended Geneva minimalistic acoustic parameter set behind the upstream contract, computed by openSMILE.

eGeMAPS (Eyben et al., 2016, doi:10.1109/TAFFC.2015.2457417), version 02: pitch, loudness, jitter, shimmer, harmonics,
formants and spectral slopes. There is nothing to learn. Each recording goes through openSMILE alone, so that padding
and the recordings beside it change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.encoders.items import join_items
from audiossl.encoders.upstream import Upstream

RATE_HZ = 16000
_SHORTEST = 960  # samples: one frame of 60 ms, in which openSMILE looks for the pitch


class OpenSmile(Upstream):
    """What openSMILE makes of a recording as one layer, in the units of the parameter set.

    level: of the features, as openSMILE calls it.
    width: of a frame.
    """

    sample_rate_hz, stride = RATE_HZ, 160
    # With it the usual formula gives openSMILE's frames from 60 ms on. Below, it has none that are numbers.
    receptive_field = 800

    def __init__(self, level: str, width: int) -> None:
        super().__init__()
        self.level, self.widths = level, (width,)
        self.config: Any = None
        # The state dict tells what made the numbers, so that another version is another encoder to the cache.
        version = f"opensmile {load_opensmile().__version__}"
        self.register_buffer("made_by", torch.tensor(list(version.encode()), dtype=torch.uint8))

    @property
    def min_samples(self) -> int:
        """60 ms, of which openSMILE makes numbers."""
        return _SHORTEST

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        items = [[self._item(wav[:n])] for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        frames = self.num_frames(wavs.shape[1])
        return join_items(items, frames) if items else [wavs.new_zeros(0, frames, self.widths[0])]

    def _item(self, wav: Tensor) -> Tensor:
        """(S,) -> (1, T, D)."""
        table = _smile(self.level).process_signal(wav.float().cpu().numpy(), RATE_HZ)
        return torch.from_numpy(table.to_numpy("float32", copy=True)).to(wav.device)[None]


class EgemapsDescriptors(OpenSmile):
    """Low-level descriptors (B, T, 25), smoothed over three frames as the set says."""

    @dataclass(frozen=True)
    class Config:
        """Version 02 as published has no options."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__("LowLevelDescriptors", 25)
        self.config = config or self.Config()


class EgemapsFunctionals(OpenSmile):
    """Means, variations, percentiles and lengths of segments of a whole recording (B, 1, 88)."""

    @dataclass(frozen=True)
    class Config:
        """Version 02 as published has no options."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__("Functionals", 88)
        self.config = config or self.Config()

    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:  # type: ignore[override]
        """1, or 0 where the recording is too short."""
        frames = super().num_frames(num_samples)
        return frames.clamp(max=1) if isinstance(frames, Tensor) else min(frames, 1)


def load_opensmile() -> Any:
    """The package. Raises ConfigError where it is not there."""
    try:
        import opensmile
    except ImportError as error:
        raise ConfigError(
            "Paralinguistic descriptors need the package opensmile, which is not installed; run `pip install "
            "audiossl-toolkit[paralinguistic]` (its licence is for research, not for commercial use)."
        ) from error
    return opensmile


@cache
def _smile(level: str) -> Any:
    """One for a process: it is built of a program's configuration, and keeps nothing between recordings."""
    opensmile = load_opensmile()
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))
