"""A small trained run, the demo of it, and its page on a port of this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from audiossl import load_run
from audiossl.demo.server import DemoServer
from audiossl.demo.session import Demo
from audiossl.experiments.config import read_experiment
from audiossl.experiments.run import Run
from audiossl.experiments.start import train


@pytest.fixture(scope="session")
def demo_run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo") / "tones"
    settings = ["upstream=log_mel", f"data.dir={corpus}", "data.batch_size=6", "trainer.steps=20", "trainer.lr=0.02"]
    train(read_experiment(None, [*settings, "trainer.eval_every=20", "trainer.device=cpu"]), folder)
    return load_run(folder, device="cpu")


@pytest.fixture(scope="session")
def demo(demo_run: Run) -> Demo:
    made = Demo(demo_run, num_items=12, max_mb=1)
    made.neighbours.compute()
    return made


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def served(demo: Demo) -> Iterator[DemoServer]:
    with DemoServer(demo) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def ask(served: DemoServer) -> Ask:
    """A request to the page, which is a prediction where there are `files` (bytes by name)."""

    def request(path: str, files: dict[str, bytes] | None = None, method: str = "", **headers: str) -> Answer:
        body = None if files is None else b"".join(files.values())
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if files is not None:
            sizes = ",".join(str(len(file)) for file in files.values())
            given = {"X-Names": quote(json.dumps(list(files))), "X-Sizes": sizes, **given}
        connection = http.client.HTTPConnection(*served.server_address[:2], timeout=20)
        connection.request(method or ("GET" if files is None else "POST"), path, body, given)
        answer = connection.getresponse()
        made = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return made

    return request
