"""Settings of a waveform encoder that do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.encoders.waveform.config import WaveformConfig


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"conv_widths": (512,)}, "need one entry for each convolution"),
        ({"width": 100}, "must be a multiple of num_heads=12"),
        ({"projection": False}, "needs width=512"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WaveformConfig(**options)
