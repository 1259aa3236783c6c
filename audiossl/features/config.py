"""Settings of the feature cache; no torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.core.errors import ConfigError

Form = Literal["off", "frames", "pooled", "statistics"]
Asked = Literal["auto", "frames", "pooled", "stats", "off"]


@dataclass(frozen=True)
class CacheConfig:
    """Where hidden states are kept, how many of them and in which type.

    dir: folder of the cache, '' for `features` in $AUDIOSSL_CACHE; max_gb: most gigabytes (1e9 bytes) in it, over all
    encoders, None for what it holds and half of what is free on the disk; dtype: 'fp16', 'bf16', 'fp32', 'int8' (with
    one scale for each frame and layer) or 'auto': 'fp16' for frames, 'fp32' for their means, which are small; batch_s:
    most seconds of sound, padding included, that are encoded at once when the cache is filled (a longer recording is
    alone in its batch); None for 20, on a GPU 160.
    """

    dir: str = ""
    max_gb: float | None = None
    dtype: Literal["auto", "fp16", "bf16", "fp32", "int8"] = "auto"
    batch_s: float | None = None

    def __post_init__(self) -> None:
        if self.max_gb is not None and not self.max_gb >= 0:
            raise ConfigError(f"cache.max_gb={self.max_gb} must be 0 or more, or null for half of the free disk.")
        if self.batch_s is not None and not self.batch_s > 0:
            raise ConfigError(f"cache.batch_s={self.batch_s} must be above zero.")

    def dtype_of(self, form: Form) -> str:
        """The type in which hidden states of that form are kept."""
        if self.dtype == "auto":
            return "fp16" if form == "frames" else "fp32"
        return self.dtype
