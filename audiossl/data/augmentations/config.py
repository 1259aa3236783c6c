"""Options of the augmentations that come with the toolkit, by the names that `data.augment` has for them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Finite, NonNegative, Positive, Share, check_ranges

Coding = Literal["mu_law", "a_law", "mp3", "vorbis", "opus"]


@dataclass(frozen=True)
class Changing:
    """How often sound is changed, and the ranges of what is drawn."""

    p: Share = 1.0
    """Share of the rows that are changed."""

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ConfigError(f"{name}=[{value[0]:g}, {value[1]:g}] must go from the lower to the higher.")


@dataclass(frozen=True)
class NoiseConfig(Changing):
    """Recorded noise is added."""

    path: str = ""
    """A folder of noises, searched at any depth, or a manifest."""
    kind: str = ""
    """Of a folder, the names of folders in it whose files alone are used, and of a manifest the values of its field
    `kind`, separated by commas: 'noise,music' in MUSAN. Empty for all."""
    snr_db: tuple[Finite, Finite] = (0.0, 15.0)
    """Lowest and highest power of a row above that of its noise."""


@dataclass(frozen=True)
class ReverberationConfig(Changing):
    """Sound is heard in a room, by the convolution with an impulse response of it."""

    path: str = ""
    """A folder of impulse responses, searched at any depth, or a manifest."""
    kind: str = ""
    """Of a folder, the names of folders in it whose files alone are used, and of a manifest the values of its field
    `kind`, separated by commas: 'smallroom,mediumroom' in RIRS_NOISES. Empty for all."""
    channel: CountOrZero = 0
    """Which channel of an impulse response is used, from 0."""


@dataclass(frozen=True)
class BabbleConfig(Changing):
    """Other rows of the training set speak in the background, none of them of the row's own speaker."""

    voices: tuple[Count, Count] = (3, 7)
    """Fewest and most rows that are summed, all at the same level."""
    snr_db: tuple[Finite, Finite] = (13.0, 20.0)
    """Lowest and highest power of a row above that of the sum."""


@dataclass(frozen=True)
class CodecConfig(Changing):
    """Sound is coded and decoded."""

    kinds: list[Coding] = field(default_factory=lambda: ["mu_law", "a_law", "mp3", "vorbis", "opus"])
    """Codings, of which one is drawn. Mu-law and A-law have eight bits a sample."""
    quality: tuple[Share, Share] = (0.1, 0.9)
    """Lowest and highest quality of MP3, Vorbis and Opus, where 0 is the smallest file and 1 the largest."""


@dataclass(frozen=True)
class BandLimitConfig(Changing):
    """Sound is heard through a band of frequencies."""

    low_hz: tuple[NonNegative, NonNegative] = (0.0, 300.0)
    """Lowest and highest lower edge. 0 for no such edge."""
    high_hz: tuple[Positive, Positive] = (3400.0, 7000.0)
    """Lowest and highest upper edge. [300, 300] and [3400, 3400] are the band of a telephone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_hz[1] >= self.high_hz[0]:
            raise ConfigError(
                f"low_hz reaches {self.low_hz[1]:g} and high_hz begins at {self.high_hz[0]:g}, which leaves no band; "
                f"set the edges apart."
            )


@dataclass(frozen=True)
class GainConfig(Changing):
    """Sound is louder or softer."""

    db: tuple[Finite, Finite] = (-10.0, 10.0)
    """Lowest and highest gain."""
