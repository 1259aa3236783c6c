"""Settings of the feature cache; no torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.errors import ConfigError

Form = Literal["off", "frames", "pooled"]
Asked = Literal["auto", "frames", "pooled", "stats", "off"]
DTYPES = ("fp16", "bf16", "fp32", "int8")


@dataclass(frozen=True)
class CacheConfig:
    """Where hidden states are kept, how many of them and in which type.

    dir: folder of the cache, '' for `features` in $AUDIOSSL_CACHE; max_gb: most gigabytes (1e9 bytes) in it, over all
    encoders, None for what it holds and half of what is free on the disk; dtype: 'fp16', 'bf16', 'fp32' or 'int8'
    (with one scale for each frame and layer); batch_s: most seconds of sound, padding included, that are encoded at
    once when the cache is filled (a longer recording is alone in its batch).
    """

    dir: str = ""
    max_gb: float | None = None
    dtype: Literal["fp16", "bf16", "fp32", "int8"] = "fp16"
    batch_s: float = 30.0

    def __post_init__(self) -> None:
        if self.max_gb is not None and not self.max_gb >= 0:
            raise ConfigError(f"cache.max_gb={self.max_gb} must be 0 or more, or null for half of the free disk.")
        if not self.batch_s > 0:
            raise ConfigError(f"cache.batch_s={self.batch_s} must be above zero.")
