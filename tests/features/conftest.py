"""The toy corpus and the toy encoder of the core's tests, and experiments whose cache is their own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from core_toys import ToyUpstream, write_corpus

from audiossl.core.registry import UPSTREAMS
from audiossl.experiments.config import Experiment, read_experiment


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy corpus's manifests."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def own_corpus(tmp_path: Path) -> Path:
    """As `corpus`, for tests that change its files."""
    return write_corpus(tmp_path / "corpus", {"train": 2, "dev": 1, "test": 1})


@pytest.fixture
def toy_upstream() -> Iterator[str]:
    """The name under which the toy encoder can be loaded while the test runs."""
    UPSTREAMS.register("toy_frames")(ToyUpstream)
    yield "toy_frames"
    del UPSTREAMS._decorated["toy_frames"]


@pytest.fixture
def experiment(corpus: Path, toy_upstream: str, tmp_path: Path) -> Callable[..., Experiment]:
    """A small experiment on the toy corpus, with a cache in the test's folder; each argument is an override."""

    def make(*overrides: str, **paths: Any) -> Experiment:
        base = [
            f"data.dir={paths.get('corpus', corpus)}",
            f"cache.dir={tmp_path / 'features'}",
            "data.batch_size=4",
            f"upstream={toy_upstream}",
            "trainer.steps=12",
            "trainer.lr=0.02",
            "trainer.eval_every=6",
            "trainer.log_every=1",
        ]
        made: Experiment = read_experiment(None, [*base, *overrides])
        return made

    yield make
    shutil.rmtree(tmp_path / "features", ignore_errors=True)
