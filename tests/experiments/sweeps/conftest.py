"""Short sweeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]
SHORT = ["trainer.steps=12", "trainer.eval_every=6", "data.batch_size=4"]


@pytest.fixture
def short(experiment: Make, tmp_path: Path) -> Make:
    """A short experiment whose cache is its own."""
    return lambda *overrides: experiment(*SHORT, f"cache.dir={tmp_path / 'features'}", *overrides)
