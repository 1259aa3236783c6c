"""An encoder of speech on sound with a wider band.

Encoders of speech read 16 kHz: of a bird or a marmoset they hear what lies below 8 kHz. Three ways to use one:

resample     the sound resampled to the encoder's rate, as is usual: higher frequencies are lost.
time_expand  the samples as they are, read at the encoder's clock: 32 kHz read as 16 kHz is half as fast and an octave
             lower. Nothing is lost, and a second of sound has twice as many frames.
band_split   the band cut into bands of the encoder's bandwidth, each shifted down to 0 Hz (see `bands`), each through
             the encoder. The hidden states of all bands stand side by side, frame by frame, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from typing import Any, ClassVar, Literal, overload

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Seed
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.upstreams.bandwidth.bands import Bands


@dataclass(frozen=True)
class BandwidthConfig:
    """Which encoder, and how it gets to hear more.

    In time_expand, `sample_rate_hz` over the encoder's rate is the factor by which recordings are slowed down.
    """

    encoder: str = "tera_mini"
    """Any name or path that `load_upstream` takes. What a checkpoint says here must be a registered name."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Fields of that encoder's configuration."""
    mode: Literal["resample", "time_expand", "band_split"] = "time_expand"
    """Resample to the encoder's rate, read more slowly at its clock, or cut the band into bands of its width."""
    sample_rate_hz: Count = 32000
    """Rate in Hz at which recordings are read, at least that of the encoder."""
    bands: CountOrZero = 0
    """How many bands band_split takes, from the lowest, 0 for as many as cover the rate."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """Weights of the encoder, filled in with what this front end itself is loaded with."""
    seed: Seed = 0
    """Seed of random weights, filled in with what this front end itself is loaded with."""


class Bandwidth(Upstream):
    """Another encoder behind one of the three front ends. Its blocks and its stem are fine-tuned as its own are."""

    Config = BandwidthConfig
    loads_encoder: ClassVar[bool] = True

    def __init__(self, config: BandwidthConfig | None = None) -> None:
        super().__init__()
        config = config or BandwidthConfig()
        how: dict[str, Any] = {"weights": config.weights, "seed": config.seed, **config.encoder_options}
        encoder = load_upstream(config.encoder, **how)
        self.config = config = replace(config, bands=_num_bands(config, encoder))
        del self._modules["stem"]  # the encoder's, see __getattr__
        self.encoder = encoder
        self.sample_rate_hz = config.sample_rate_hz
        self.stride, self.receptive_field, self.edge = encoder.stride, encoder.receptive_field, encoder.edge
        self.widths = encoder.widths
        self.bands: Bands | None = None
        if config.mode != "time_expand":
            split = config.mode == "band_split"
            self.bands = Bands(config.sample_rate_hz, encoder.sample_rate_hz, config.bands if split else 0)
            self.stride = _in_samples(config, encoder)
            # The span of the encoder's frame, and the filter before its first and after its last sample.
            span = (encoder.receptive_field - 1) * self.bands.down / self.bands.up
            self.receptive_field = int(span) + 1 + 2 * self.bands.reach
            self.edge = 0  # where the encoder mirrors, it does so after the filters
            self.widths = tuple(width * self.bands.num_bands for width in encoder.widths)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name) if name in ("blocks", "stem") else super().__getattr__(name)

    @property
    def training_only(self) -> tuple[str, ...]:  # type: ignore[override]
        """As the encoder says."""
        return tuple(f"encoder.{name}" for name in self.encoder.training_only)

    @property
    def min_samples(self) -> int:
        shortest = self.encoder.min_samples
        return shortest if self.bands is None else self.bands.fewest(shortest)

    @property
    def max_samples(self) -> int | None:  # type: ignore[override]
        longest = self.encoder.max_samples
        return longest if longest is None or self.bands is None else self.bands.most(longest)

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames that the encoder makes of so many samples at `sample_rate_hz`, exactly."""
        return self.encoder.num_frames(num_samples if self.bands is None else self.bands.num_samples(num_samples))

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        if self.bands is None:
            return self.encoder.encode(wavs, lengths, last)
        bands, count = self.bands(wavs, lengths), self.bands.num_bands  # (B, K, S')
        lengths = self.bands.num_samples(lengths).repeat_interleave(count)
        return [_beside(layer, count) for layer in self.encoder.encode(bands.flatten(0, 1), lengths, last)]

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        if self.bands is None:
            return self.encoder.encode_even(wavs, last, statistics)
        lengths = torch.full((wavs.shape[0],), wavs.shape[1], dtype=torch.int64, device=wavs.device)
        bands, count = self.bands(wavs, lengths), self.bands.num_bands
        return [_beside(layer, count) for layer in self.encoder.encode_even(bands.flatten(0, 1), last, statistics)]

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """As the encoder's, of what it hears. Of several bands (), since one pass gives those of one: parts of a long
        recording are then normalised by themselves."""
        if self.bands is None:
            return self.encoder.statistics(blocks)
        if self.bands.num_bands > 1:
            return ()
        return self.encoder.statistics(part[0] for part in self.bands.stream(blocks))


def _beside(layer: Tensor, bands: int) -> Tensor:
    """(B * K, T, D) -> (B, T, K * D)."""
    made: Tensor = layer.unflatten(0, (-1, bands)).transpose(1, 2).flatten(2)
    return made


def _num_bands(config: BandwidthConfig, encoder: Upstream) -> int:
    """The number of bands, after a check of the configuration."""
    rate, inner = config.sample_rate_hz, encoder.sample_rate_hz
    padding = getattr(getattr(encoder, "config", None), "padding", "exact")
    if padding != "exact":
        raise ConfigError(
            f"encoder_options.padding={padding}: inside bandwidth a batch must equal its items; leave it out."
        )
    if rate < inner:
        raise ConfigError(
            f"sample_rate_hz={rate} is below the {inner} Hz of {config.encoder}, so there is no further band; use "
            f"upstream={config.encoder} alone."
        )
    most = -(-rate // inner)
    if not 0 <= config.bands <= most:
        raise ConfigError(
            f"bands={config.bands}: {rate} Hz hold at most {most} band(s) of {inner // 2} Hz; choose 1 to {most}, or 0 "
            f"for all."
        )
    return config.bands or most


def _in_samples(config: BandwidthConfig, encoder: Upstream) -> int:
    """The encoder's stride at the recordings' rate, which must be whole: frames keep their places in time."""
    stride, rest = divmod(encoder.stride * config.sample_rate_hz, encoder.sample_rate_hz)
    if rest:
        unit = encoder.sample_rate_hz // gcd(encoder.stride, encoder.sample_rate_hz)
        exact = encoder.stride * config.sample_rate_hz / encoder.sample_rate_hz
        raise ConfigError(
            f"sample_rate_hz={config.sample_rate_hz}: a frame of {config.encoder} would come every {exact:g} samples, "
            f"not a whole number; choose a multiple of {unit} Hz, to which "
            f"recordings are resampled on reading, or mode=time_expand."
        )
    return stride
