"""Settings of units are checked where they are made."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.features.units.config import UnitsOptions


def test_settings_out_of_range_are_an_error() -> None:
    assert UnitsOptions().clusters == 500
    for options in ({"share": 0.0}, {"share": 1.1}, {"clusters": -1}, {"max_gb": 0.0}, {"starts": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}="):
            UnitsOptions(**options)  # type: ignore[arg-type]
