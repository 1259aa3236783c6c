"""flashlight-text is asked for where it is missing, and tokens can be favoured."""

from __future__ import annotations

import sys

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.asr.search.library import flashlight


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flashlight.lib.text", None)
    with pytest.raises(ConfigError, match=r"Beam search needs .* run `pip install audiossl-toolkit\[lm\]`\."):
        flashlight()


def test_some_tokens_are_raised_by_what_they_add() -> None:
    pytest.importorskip("flashlight.lib.text.decoder")
    library = flashlight()
    model = library.raised(library.decoder.ZeroLM(), {2: 1.5})
    state = model.start(False)
    assert [model.score(state, token)[1] for token in (1, 2)] == [0.0, 1.5]
    assert model.finish(state)[1] == 0.0
