"""Options of scores that need no training."""

from __future__ import annotations

import pytest

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.core.errors import ConfigError


@pytest.mark.parametrize(("name", "value"), [("scores", "ap,eer"), ("distances", ""), ("distances", "cosine")])
def test_what_there_is_not_is_said(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"--{name} '{value}': choose of"):
        DiscriminationOptions(**{name: value})  # type: ignore[arg-type]
