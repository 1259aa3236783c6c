"""Two evaluated runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.reports import evaluate, guesses, make_run


@pytest.fixture
def two_runs(tmp_path: Path) -> list[Path]:
    first = evaluate(make_run(tmp_path / "first"), guesses(24, 12))
    second = evaluate(make_run(tmp_path / "second", losses=200), guesses(24, 3))
    return [first, second]
