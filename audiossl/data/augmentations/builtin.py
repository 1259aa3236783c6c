"""The augmentations by their names: each draws for one row, and changes its sound.

Noise, music, babble and rooms as in Snyder et al., "X-Vectors" (ICASSP 2018), whose ranges are in the settings' pages.
"""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.data.augmentations import signal
from audiossl.data.augmentations.bank import SoundBank, part_of, state_of
from audiossl.data.augmentations.config import (
    BabbleConfig,
    BandLimitConfig,
    Changing,
    CodecConfig,
    GainConfig,
    NoiseConfig,
    ReverberationConfig,
)
from audiossl.data.fields import read_field
from audiossl.data.row_store import RowStore
from audiossl.data.sound_file import Wave

if TYPE_CHECKING:
    from lhotse.cut import Cut

C = TypeVar("C", bound=Changing)
_HELD = 20000  # rows that are kept as they are


class SoundChange(Generic[C]):
    """Changes sound, by what a generator draws.

    config: the options.
    sample_rate_hz: of the sound.
    where: the setting that errors name.
    """

    def __init__(self, config: C, sample_rate_hz: int, where: str) -> None:
        self.config, self.sample_rate_hz, self.where = config, sample_rate_hz, where

    def __call__(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        """Changed sound (S,) of sound (S,), or the sound itself.

        sound: of the row.
        rng: what is drawn for it alone.
        row: its id.
        speaker: whose voice it is. None where that is not known.
        """
        return sound if rng.random() >= self.config.p else self.change(sound, rng, row, speaker)

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        """Changed sound (S,) of sound (S,), whenever it is called.

        sound: of the row.
        rng: what is drawn for it alone.
        row: its id.
        speaker: whose voice it is. None where that is not known.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raise AudioError or ConfigError for recordings that cannot be used."""

    def state(self) -> str:
        """A hash of the recordings that it draws from. '' where there are none."""
        return ""


class Noise(SoundChange[NoiseConfig]):
    """A part of a recorded noise is added."""

    def __init__(self, config: NoiseConfig, sample_rate_hz: int, where: str) -> None:
        super().__init__(config, sample_rate_hz, where)
        self.bank = SoundBank(config.path, config.kind, sample_rate_hz, where, not_of="room")

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        return signal.mixed(sound, self.bank.part(rng, len(sound)), rng.uniform(*self.config.snr_db))

    def check(self) -> None:
        self.bank.check()

    def state(self) -> str:
        return self.bank.state()


class Reverberation(SoundChange[ReverberationConfig]):
    """Sound is convolved with the impulse response of a room."""

    def __init__(self, config: ReverberationConfig, sample_rate_hz: int, where: str) -> None:
        super().__init__(config, sample_rate_hz, where)
        self.bank = SoundBank(config.path, config.kind, sample_rate_hz, where, not_of="noise")

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        return signal.reverberated(sound, self.bank.room(rng.randrange(len(self.bank)), self.config.channel))

    def check(self) -> None:
        self.bank.check(self.config.channel)

    def state(self) -> str:
        return self.bank.state()


class Babble(SoundChange[BabbleConfig]):
    """Other rows of the training set are added, none of the row's own speaker.

    rows: the training set.
    Raises ConfigError for a set in which some row has no others.
    """

    def __init__(self, config: BabbleConfig, sample_rate_hz: int, where: str, rows: Iterable[Cut]) -> None:
        super().__init__(config, sample_rate_hz, where)
        self._rows = RowStore(_HELD)
        of_speaker: dict[str | None, array[int]] = defaultdict(lambda: array("L"))
        for cut in rows:
            of_speaker[read_field(cut, "speaker")].append(len(self._rows))
            self._rows.add(cut)
        # Those of a speaker follow each other, so that all others are two ranges.
        ends = list(accumulate(map(len, of_speaker.values())))
        self._blocks = {name: (end - len(own), end) for (name, own), end in zip(of_speaker.items(), ends, strict=True)}
        self._order = array("L", [number for own in of_speaker.values() for number in own])
        fewest = min((self._num_others(speaker) for speaker in self._blocks), default=0)
        if fewest < config.voices[1]:
            raise ConfigError(
                f"{where} sums up to {config.voices[1]} rows of the training set that are not of a row's own speaker, "
                f"and of {len(self._rows)} rows only {fewest} are such for some speaker; set fewer voices, or leave "
                f"babble out."
            )

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        count = rng.randint(*self.config.voices)
        voices = [
            part_of(cut, rng.random(), len(sound), self.sample_rate_hz) for cut in self._drawn(rng, count, row, speaker)
        ]
        heard = [signal.scaled(voice, 1.0) for voice in voices if not signal.is_silent(voice)]
        babble: Wave = np.sum([np.zeros_like(sound), *heard], axis=0, dtype=np.float32)
        return signal.mixed(sound, babble, rng.uniform(*self.config.snr_db))

    def state(self) -> str:
        return state_of(self._rows[number] for number in range(len(self._rows)))

    def _num_others(self, speaker: str | None) -> int:
        first, last = self._own(speaker)
        return len(self._order) - (last - first) - (speaker is None)

    def _own(self, speaker: str | None) -> tuple[int, int]:
        return self._blocks.get(speaker, (0, 0)) if speaker is not None else (0, 0)

    def _drawn(self, rng: random.Random, count: int, row: str, speaker: str | None) -> list[Cut]:
        """Different rows, neither of the speaker nor the row itself."""
        first, last = self._own(speaker)
        # One more than is needed, should the row itself be drawn.
        places = rng.sample(range(len(self._order) - (last - first)), min(count + 1, len(self._order) - (last - first)))
        numbers = [self._order[place + (last - first) * (place >= first)] for place in places]
        return [cut for cut in (self._rows[number] for number in numbers) if cut.id != row][:count]


class Transcoding(SoundChange[CodecConfig]):
    """Sound is coded and decoded."""

    def __init__(self, config: CodecConfig, sample_rate_hz: int, where: str) -> None:
        super().__init__(config, sample_rate_hz, where)
        if not config.kinds:
            raise ConfigError(f"{where} has no kinds; name codings, such as kinds=[mu_law, mp3].")
        if missing := [kind for kind in config.kinds if not signal.can_code(kind)]:
            raise ConfigError(
                f"{where} has {', '.join(missing)} among its kinds, which the libsndfile that is installed cannot "
                f"write; leave it out, or run `pip install --upgrade soundfile`."
            )

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        coding = rng.choice(self.config.kinds)
        return signal.coded(sound, self.sample_rate_hz, coding, rng.uniform(*self.config.quality))


class BandLimit(SoundChange[BandLimitConfig]):
    """Sound is heard through a band."""

    def __init__(self, config: BandLimitConfig, sample_rate_hz: int, where: str) -> None:
        super().__init__(config, sample_rate_hz, where)
        if config.high_hz[0] >= sample_rate_hz / 2 and not config.low_hz[1]:
            raise ConfigError(
                f"{where} has no edge below {sample_rate_hz / 2:g} Hz, where sound at {sample_rate_hz} Hz ends; set "
                f"high_hz lower."
            )

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        edges = rng.uniform(*self.config.low_hz), rng.uniform(*self.config.high_hz)
        return signal.band_limited(sound, self.sample_rate_hz, *edges)


class Gain(SoundChange[GainConfig]):
    """Sound is louder or softer."""

    def change(self, sound: Wave, rng: random.Random, row: str, speaker: str | None) -> Wave:
        return (sound * np.float32(10 ** (rng.uniform(*self.config.db) / 20))).astype(np.float32)


BUILT_IN: Mapping[str, tuple[type[Changing], Any]] = {
    "noise": (NoiseConfig, Noise),
    "reverberation": (ReverberationConfig, Reverberation),
    "babble": (BabbleConfig, Babble),
    "codec": (CodecConfig, Transcoding),
    "band_limit": (BandLimitConfig, BandLimit),
    "gain": (GainConfig, Gain),
}


def build(
    name: str, options: Mapping[str, Any], sample_rate_hz: int, where: str, rows: Iterable[Cut]
) -> SoundChange[Any]:
    """The augmentation of a name.

    name: one of `BUILT_IN`.
    options: its own.
    sample_rate_hz: of the sound.
    where: the setting that errors name.
    rows: the training set, which is read where others are drawn from it.
    Raises ConfigError, AudioError, ManifestError.
    """
    schema, kind = BUILT_IN[name]
    config = structured(schema, dict(options), where=where)
    more = [rows] if name == "babble" else []
    made: SoundChange[Any] = kind(config, sample_rate_hz, where, *more)
    return made
