"""What the tests of the core share: a toy corpus, a toy encoder with a name, the command line in-process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from core_toys import ToyUpstream, write_corpus

from audiossl.core.registry import UPSTREAMS
from audiossl.experiments.config import Experiment, read_experiment


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy corpus's manifests; its sound is in ../audio/<split>/<label>_<n>.wav."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def toy_upstream() -> Iterator[str]:
    """The name under which the toy encoder can be loaded while the test runs."""
    UPSTREAMS.register("toy_frames")(ToyUpstream)
    yield "toy_frames"
    del UPSTREAMS._decorated["toy_frames"]


@pytest.fixture
def experiment(corpus: Path, toy_upstream: str) -> Callable[..., Experiment]:
    """A small experiment on the toy corpus; each argument is an override as on the command line."""

    def make(*overrides: str) -> Experiment:
        base = [
            f"data.dir={corpus}",
            "data.batch_size=6",
            f"upstream={toy_upstream}",
            "trainer.steps=40",
            "trainer.lr=0.02",
            "trainer.eval_every=20",
            "trainer.log_every=1",
        ]
        made: Experiment = read_experiment(None, [*base, *overrides])
        return made

    return make


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def audiossl(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`audiossl <arguments>` in this process, through its entry point."""
    from audiossl.cli.main import main

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["audiossl", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
