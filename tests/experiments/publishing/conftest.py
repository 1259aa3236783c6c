"""Evaluations without pictures, which take most of their time."""

from __future__ import annotations

import pytest

from audiossl.downstreams.utterance_classification.task import UtteranceClassification


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})
