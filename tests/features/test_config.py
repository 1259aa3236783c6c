"""Settings of the feature cache."""

from __future__ import annotations

import math

import pytest

from audiossl.core.errors import ConfigError
from audiossl.features.config import CacheConfig


def test_means_are_kept_exactly_and_frames_in_half_of_the_room() -> None:
    auto = CacheConfig()
    assert (auto.dtype_of("frames"), auto.dtype_of("pooled")) == ("fp16", "fp32")
    assert auto.dtype_of("frames", goes_on=True) == "fp32"
    assert {CacheConfig(dtype="int8").dtype_of(form) for form in ("frames", "pooled")} == {"int8"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_gb": -1.0}, r"cache\.max_gb=-1 must be at least 0"),
        ({"max_gb": math.nan}, r"cache\.max_gb=nan"),
        ({"batch_s": -1.0}, r"cache\.batch_s=-1 must be at least 0"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CacheConfig(**options)  # type: ignore[arg-type]


def test_no_room_at_all_is_a_setting() -> None:
    assert CacheConfig(max_gb=0).max_gb == 0
