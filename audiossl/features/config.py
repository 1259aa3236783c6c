"""Settings of the feature cache. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.core.ranges import CountOrZero, NonNegative, check_ranges

# What an entry holds of a recording. Probes read 'statistics', which no head is trained on.
Form = Literal["off", "frames", "pooled", "statistics"]
# What `features` of an experiment may be.
FeaturesSetting = Literal["auto", "frames", "pooled", "off"]


@dataclass(frozen=True)
class CacheConfig:
    """Where hidden states are kept, how many of them and in which type."""

    dir: str = ""
    """Folder of the cache. Empty for `features` in $AUDIOSSL_CACHE."""
    max_gb: NonNegative | None = None
    """Most gigabytes (1e9 bytes) in the cache, over all encoders. Null for what it holds and half of what is free on
    the disk."""
    dtype: Literal["auto", "fp16", "bf16", "fp32", "int8"] = "auto"
    """Type of what is kept, of which int8 has one scale for each frame and layer. 'auto' is fp16 for frames, and fp32
    for their means, which are small, and for states that a training goes on from."""
    batch_s: NonNegative | None = None
    """Most seconds of sound, padding included, that are encoded at once when the cache is filled. A longer recording is
    alone in its batch. 0 for one recording at a time, whose states are then the same to the bit whatever else is kept.
    Null for 0, on a GPU 160."""
    copies: CountOrZero = 0
    """How many changed copies of each training row are kept, where data.augment, data.speeds or data.max_crop_s change
    it in every epoch. Epoch e then hears copy e modulo that number, whatever the seed. 0 for none, and for new sound in
    every epoch."""

    def __post_init__(self) -> None:
        check_ranges(self, "cache")

    def dtype_of(self, form: Form, *, goes_on: bool = False) -> str:
        """The type in which hidden states of that form are kept. goes_on: whether a training goes on from them."""
        if self.dtype == "auto":
            return "fp16" if form == "frames" and not goes_on else "fp32"
        return self.dtype
