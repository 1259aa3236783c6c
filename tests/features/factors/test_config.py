"""Options of factors have ranges."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.features.factors.config import FactorsOptions


@pytest.mark.parametrize("option", ["rank", "clusters", "iterations", "floor"])
def test_ranges(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}=0"):
        FactorsOptions(**{option: 0})  # type: ignore[arg-type]
