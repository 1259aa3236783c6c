"""A suite whose experiments have identities."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.suites import ToySuite, make_toy_suite


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToySuite:
    return make_toy_suite(tmp_path, monkeypatch)
