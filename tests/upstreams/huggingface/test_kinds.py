"""Which encoders of transformers are known."""

from __future__ import annotations

import sys

import pytest
from toys.huggingface import CASES

from audiossl.core.errors import ConfigError
from audiossl.upstreams.huggingface.kinds import KINDS, import_transformers
from audiossl.upstreams.huggingface.model import HuggingFace, HuggingFaceConfig


def test_every_kind_is_tested() -> None:
    tested = {name.split()[0] for name in CASES} - {"parakeet"}
    assert tested | {"parakeet_encoder", "parakeet_ctc", "parakeet_tdt", "parakeet_rnnt"} == set(KINDS)


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[hf\]"):
        import_transformers()
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[hf\]"):
        HuggingFace(HuggingFaceConfig({"model_type": "wav2vec2-bert"}))
