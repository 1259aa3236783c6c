"""An encoder and a head that have learnt to spell."""

from __future__ import annotations

import pytest
from toys.asr import spelling_asr

from audiossl.downstreams.asr.task import Asr


@pytest.fixture(scope="module")
def recogniser() -> Asr:
    return spelling_asr()
