"""A suite that takes a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.suites import ToySuite, make_toy_suite

from audiossl.downstreams.utterance_classification.task import UtteranceClassification


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToySuite:
    """The suite, whose evaluations draw no pictures: they take most of the time."""
    monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})
    return make_toy_suite(tmp_path, monkeypatch)
