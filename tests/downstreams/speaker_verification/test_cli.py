"""`audiossl verify`: what it prints of a verdict. Verdicts themselves are those of `verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.downstreams.speaker_verification import verify as module
from audiossl.downstreams.speaker_verification.verify import Verdict


@pytest.fixture
def asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the command asks `verify`, which answers with the verdict at its end."""
    calls: list[tuple[object, ...]] = []

    def verify(loaded: object, *arguments: object) -> object:
        calls.append(arguments)
        return calls[0][0]

    monkeypatch.setattr(module, "verify", verify)
    add_commands_of_tasks()
    return calls


def told(asked: list[tuple[object, ...]], verdict: Verdict, run: Path, *arguments: str) -> str:
    asked[:] = [(verdict,)]
    done = CliRunner().invoke(app, ["verify", str(run), "a.wav", "b.wav", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_verdict_in_words(asked: list[tuple[object, ...]], run: Path) -> None:
    shown = told(asked, Verdict(0.75, 1.5, 0.8, True, 0.5), run, "--enrol", "c.wav", "--prior", "0.25")
    assert asked[1] == (["a.wav", "c.wav"], "b.wav", 0.25)
    assert "0.7500 (cosine)" in shown
    assert "0.8000 that it is one speaker (llr 1.50, prior 0.25)" in shown
    assert shown.rstrip().endswith("one speaker")
    assert told(asked, Verdict(0.1, -1.5, 0.2, False, 0.5), run).rstrip().endswith("two speakers")


def test_a_run_without_calibration_decides_nothing(asked: list[tuple[object, ...]], run: Path) -> None:
    shown = told(asked, Verdict(0.75, None, None, None, 0.5), run)
    assert "unknown: dev had no trials of both kinds" in shown
    assert "decision" not in shown


def test_json_is_the_verdict(asked: list[tuple[object, ...]], run: Path) -> None:
    verdict = Verdict(0.75, 1.5, 0.8, True, 0.5)
    assert json.loads(told(asked, verdict, run, "--json")) == verdict._asdict()
