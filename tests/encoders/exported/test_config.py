"""What may be said of an exported encoder."""

from __future__ import annotations

import pytest

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.encoders.exported.config import ExportedConfig


def test_nothing_is_known_at_first() -> None:
    config = structured(ExportedConfig)
    assert (config.sample_rate_hz, config.outputs, config.window_s, config.stride) == (None, [], None, None)


@pytest.mark.parametrize("wrong", [{"sample_rate_hz": 0}, {"sample_rate_hz": 10**7}, {"window_s": -1.0}, {"stride": 0}])
def test_what_a_file_claims_has_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}=.* must be"):
        structured(ExportedConfig, wrong)
