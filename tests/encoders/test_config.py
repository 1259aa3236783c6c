"""Settings of `audiossl embed`."""

from __future__ import annotations

import dataclasses

import pytest

from audiossl.core.errors import ConfigError
from audiossl.encoders.config import EmbedOptions


@pytest.mark.parametrize("pool", ["none", "mean"])
def test_what_pool_may_be(pool: str) -> None:
    assert EmbedOptions(pool=pool).pool == pool


@pytest.mark.parametrize("pool", ["max", "", "Mean"])
def test_another_pool_is_refused_with_the_choices(pool: str) -> None:
    with pytest.raises(ConfigError, match=f"^--pool '{pool}': choose none or mean\\.$"):
        EmbedOptions(pool=pool)
    with pytest.raises(ConfigError, match="choose none or mean"):
        dataclasses.replace(EmbedOptions(), pool=pool)
