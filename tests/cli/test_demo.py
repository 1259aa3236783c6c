"""`audiossl demo` as a user starts and ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl.demo.neighbours import Neighbours
from audiossl.demo.server import DemoServer

Cli = Callable[..., Any]


def test_what_is_no_run_is_a_sentence(audiossl: Cli, tmp_path: Path) -> None:
    wrong = audiossl("demo", tmp_path)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("option", ["--host", "--share"])
def test_there_is_no_other_address(audiossl: Cli, tmp_path: Path, option: str) -> None:
    wrong = audiossl("demo", tmp_path, option, "0.0.0.0")
    assert wrong.code == 2
    assert "No such option" in wrong.err


def test_it_says_where_it_is_and_ends_by_ctrl_c(
    audiossl: Cli, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(f"upstream: log_mel\ndata: {{dir: {corpus}}}\ntrainer: {{steps: 2, eval_every: 2}}\n")
    assert audiossl("train", recipe, "--out", run).code == 0
    seen: list[Any] = []

    def serve(server: DemoServer) -> None:
        seen.append(server.demo)
        raise KeyboardInterrupt

    monkeypatch.setattr(DemoServer, "serve_forever", serve)
    monkeypatch.setattr(Neighbours, "start", lambda neighbours: seen.append(neighbours.most))
    done = audiossl("demo", run, "--port", "0", "--max-mb", "7", "--items", "3", "data.dir=elsewhere")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"Open http://127\.0\.0\.1:\d+/ in a browser of this machine; Ctrl-C ends it\.\nEnded\.\n", done.out
    )
    assert (seen[0], seen[1].max_mb) == (3, 7)
    assert seen[1].run.config.data.dir == "elsewhere"
