"""A run of a toy head that was trained once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl.experiments.start import train


@pytest.fixture(scope="session")
def trained() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(
    experiment: Callable[..., Any], tmp_path: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of a run that is trained once."""
    if not trained:
        trained["run"] = train(experiment("trainer.average_best=2"), tmp_path_factory.mktemp("trained") / "run")
    return Path(shutil.copytree(trained["run"], tmp_path / "run"))
