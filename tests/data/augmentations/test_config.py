"""Options that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.data.augmentations.config import BandLimitConfig, GainConfig, NoiseConfig


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (NoiseConfig, {"snr_db": (9.0, 1.0)}, r"snr_db=\[9, 1\] must go from the lower to the higher"),
        (GainConfig, {"p": 1.5}, "p=1.5 must be from 0 to 1"),
        (BandLimitConfig, {"low_hz": (0.0, 4000.0)}, "low_hz reaches 4000 and high_hz begins at 3400, which leaves no"),
    ],
)
def test_options_that_cannot_be(kind: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        kind(**options)
