"""What all tests share: a toy corpus, a toy encoder with a name, small experiments, the command line in-process."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording
from lhotse.audio import AudioSource
from toys.core import TrainedToy, write_corpus
from toys.hub import Hub, serving

from audiossl.core.registry import UPSTREAMS
from audiossl.experiments.config import Experiment, read_experiment


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from the cache folder of whoever runs the tests, nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def lazy_modules_have_no_file() -> None:
    """hypothesis asks every loaded module for its file; speechbrain's lazy ones would import optional packages then."""
    speechbrain = sys.modules.get("speechbrain.utils.importutils")
    if speechbrain is not None:
        for module in list(sys.modules.values()):
            if isinstance(module, speechbrain.LazyModule):
                vars(module).setdefault("__file__", None)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy corpus's manifests; its sound is in ../audio/<split>/<label>_<n>.wav."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def own_corpus(tmp_path: Path) -> Path:
    """As `corpus`, for tests that change its files."""
    return write_corpus(tmp_path / "corpus", {"train": 2, "dev": 1, "test": 1})


@pytest.fixture
def toy_upstream() -> Iterator[str]:
    """The name under which the toy encoder can be loaded while the test runs."""
    UPSTREAMS.register("toy_frames")(TrainedToy)
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


@pytest.fixture
def cached_experiment(corpus: Path, toy_upstream: str, tmp_path: Path) -> Iterator[Callable[..., Experiment]]:
    """As `experiment`, shorter and with a cache in the test's folder."""

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


def tone(num_samples: int, rate: int = 16000, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(num_samples) / rate)).astype(np.float32)


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples, or a tone of a given number of samples, below the test's folder."""

    def write(name: str, samples: np.ndarray | int = 8000, rate: int = 16000, subtype: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(samples, rate) if isinstance(samples, int) else samples, rate, subtype=subtype)
        return path

    return write


@pytest.fixture
def row() -> Callable[..., MonoCut]:
    """A manifest row of a file that need not exist."""

    def make(
        name: str, num_samples: int, rate: int = 16000, path: str | Path = "", start: int = 0, kept: int | None = None
    ) -> MonoCut:
        recording = Recording(name, [AudioSource("file", [0], str(path))], rate, num_samples, num_samples / rate)
        duration = (num_samples - start if kept is None else kept) / rate
        return MonoCut(id=name, start=start / rate, duration=duration, channel=0, recording=recording, supervisions=[])

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in of the Hugging Face hub, and a cache folder of the test's own."""
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    with serving(monkeypatch, tmp_path / "huggingface") as made:
        yield made


@pytest.fixture
def day(tmp_path: Path) -> Callable[..., Path]:
    """A recording of noise."""

    def write(name: str = "day1.wav", seconds: float = 2.0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 8000))
        soundfile.write(path, samples, 8000, subtype="PCM_16")
        return path

    return write


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


def pytest_configure() -> None:
    """Tests press Ctrl-C in processes that they start, which ignore it where this one was started in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
