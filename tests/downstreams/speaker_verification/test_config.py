"""The settings of verification: what is out of range, or no choice, is one sentence."""

from __future__ import annotations

import pytest

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig as Config


def test_wrong_settings_are_named() -> None:
    for options, named in (
        ({"head": "ecappa"}, "head"),
        ({"margin": -0.1}, "margin=-0.1"),
        ({"embeding_width": 8}, "Did you mean embedding_width"),
    ):
        with pytest.raises(ConfigError, match=named):
            structured(Config, options)
