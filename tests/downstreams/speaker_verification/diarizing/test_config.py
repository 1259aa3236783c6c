"""The settings of clustering diarisation."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"offset": 0.5}, r"offset=0\.5 must be at most onset=0\.2"),
        ({"hop_s": 2.0}, r"hop_s=2 must be at most window_s=1\.5"),
        ({"min_speakers": 30}, "min_speakers=30 must be at most max_speakers=20"),
        ({"num_speakers": 0}, "num_speakers=0 must be at least 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DiarizeOptions(**options)
