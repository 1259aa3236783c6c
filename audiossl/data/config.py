"""How manifest rows become batches, as a configuration says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, Share, check_ranges
from audiossl.data.mixing import check_shares


@dataclass(frozen=True)
class LoaderConfig:
    """How rows become batches: by number, by seconds or by both."""

    batch_size: Count | None = 32
    """Most rows in a batch. Null for no such limit, which needs max_duration_s."""
    max_duration_s: Positive | None = None
    """Most seconds in a batch with its padding, which is the rows times the longest. Null for no such limit, which
    needs batch_size."""
    num_buckets: Count = 10
    """In training, into how many classes of duration the rows of an epoch are grouped at most, so that little is
    padding. The classes are noisy, and others in every epoch. 1 for no grouping."""
    pool_size: Count = 20000
    """Rows held in memory as they are. Those of a longer manifest are packed in training, where an epoch is drawn from
    all of them, and are looked at so many at a time in evaluation, the longest first."""
    min_duration_s: NonNegative = 0.0
    """In training, shorter rows are left out and counted in the log. 0 leaves out none."""
    max_crop_s: Positive | None = None
    """In training, longer rows are cut to a random part of this length. Null for whole rows."""
    balance: str = ""
    """In training, a field of the rows ('speaker', 'label', ...) of which every value is drawn equally often, as many
    rows in an epoch as there are. Empty for each row once."""
    compose: dict[str, dict[str, Share]] = field(default_factory=dict)
    """In training, shares of the sound of an epoch by the values of a field of the rows, such as {gender: {female: 0.5,
    male: 0.5}}. '*' stands for all other rows. Those of values that are not named are left out. Shares of several
    fields are multiplied. Empty for each row once."""
    speeds: list[Annotated[float, Range(0.5, 2)]] = field(default_factory=list)
    """In training, each row is played at one of these speeds, drawn anew in every epoch, [0.9, 1.0, 1.1] for instance.
    Pitch changes with it (speed perturbation, Ko et al., 2015). Empty for none."""
    augment: list[dict[str, Any]] = field(default_factory=list)
    """In training, augmentations that change the sound of a row one after another, drawn anew in every epoch, such as
    [{name: noise, path: musan, kind: noise, snr_db: [0, 15], p: 0.5}]. noise, reverberation, babble, codec, band_limit
    and gain are the toolkit's own, other names the library audiomentations'. Empty for none."""
    order: Literal["random", "shards"] = "random"
    """How the rows of a training epoch follow each other: all at random, or as their shards do, which come in random
    order and are read one after another. 'shards' needs rows that `audiossl data shards` has written."""
    window_shards: Count = 8
    """With order=shards, how many shards at a time are mixed. What is read in between stays among these."""
    skip_bad: bool = False
    """In training on sound, recordings that cannot be read are left out of their batches, and each is named once. False
    for an error."""
    num_workers: CountOrZero = 0
    """Processes that read sound ahead. 0 for none."""

    def __post_init__(self) -> None:
        check_ranges(self, "data")
        if self.batch_size is None and self.max_duration_s is None:
            raise ConfigError("The loader needs batch_size, max_duration_s or both; set batch_size=32, for instance.")
        for place, each in enumerate(self.augment):
            if not isinstance(each.get("name"), str):
                raise ConfigError(
                    f"data.augment[{place}]={each} has no name; write {{name: gain, p: 0.5}}, for instance."
                )
        for name, shares in self.compose.items():
            check_shares(shares, f"data.compose.{name}")
        if self.balance and self.shares:
            raise ConfigError("data.balance and shares both say which rows an epoch has; leave one of them out.")

    @property
    def shares(self) -> Mapping[str, Mapping[str, float]]:
        """Shares of the sound of an epoch, by field and value. Empty where each row comes once."""
        return self.compose

    @property
    def changed_sound(self) -> str:
        """Which setting changes a recording in every epoch, as the beginning of a sentence. '' for none."""
        if self.speeds:
            return f"data.speeds={self.speeds} plays a recording at another speed in every epoch"
        names = ", ".join(str(each["name"]) for each in self.augment)
        return f"data.augment ({names}) changes the sound of a recording in every epoch" if names else ""

    def fits(self, num_rows: int, longest_s: float) -> bool:
        """Whether that many rows, the longest of which lasts `longest_s`, may be one batch."""
        too_many = self.batch_size is not None and num_rows > self.batch_size
        return not too_many and (self.max_duration_s is None or num_rows * longest_s <= self.max_duration_s)


@dataclass(frozen=True)
class ArchiveOptions:
    """How an archive is cut into windows. Each is an option of the commands that read one."""

    window_s: Positive = 2.0
    """Seconds of a window. A shorter recording is one window of its own length."""
    hop_s: NonNegative = 0.0
    """Seconds from the start of a window to that of the next (0: half a window). The last ends with the recording."""
    lower_rates: bool = False
    """Take an archive of which no recording has the rate of the encoder, so that its upper band is empty."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.hop_s > self.window_s:
            raise ConfigError(
                f"--hop-s {self.hop_s:g} is longer than --window-s {self.window_s:g}, and sound between two windows "
                f"would be left out; take a shorter hop."
            )


@dataclass(frozen=True)
class SuggestOptions(ArchiveOptions):
    """What is suggested. Each is an option of `audiossl suggest`."""

    num: Count = 50
    """How many windows."""
    by: str = "margin"
    """Uncertainty: margin (of the two most probable classes), or entropy."""
    pool: Count = 10
    """They are chosen, as unlike each other as can be, of so many times as many that are most uncertain (1:
    by uncertainty alone)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in ("margin", "entropy"):
            raise ConfigError(f"--by {self.by!r}: choose margin or entropy.")
