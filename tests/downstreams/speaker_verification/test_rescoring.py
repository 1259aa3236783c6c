"""Kept embeddings scored again: what an evaluation says, without its encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import AudiosslError
from audiossl.downstreams.speaker_verification.rescoring import score_again
from audiossl.experiments import run as module
from audiossl.experiments.loading import load_run


def test_it_is_what_evaluate_says_and_no_encoder_is_loaded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["task.scoring.backend=plda", "task.scoring.norm=s_norm", "task.scoring.parts_s=0.15"]
    expected = load_run(run, overrides=settings).evaluate("test")
    monkeypatch.setattr(module, "load_identified", lambda *_: pytest.fail("an encoder was loaded"))
    add_commands_of_tasks()
    shown = CliRunner().invoke(app, ["score-again", str(run), *settings, "--json"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    for name, metric in expected.items():
        assert found[name]["value"] == pytest.approx(metric.value, abs=1e-6), name
    scoring = json.loads((run / "test" / "metrics.json").read_text())["scoring"]
    assert (scoring["backend"], scoring["within_speaker"][:16]) == ("plda", "parts of 0.15 s ")
    assert (run / "embeddings" / "train-in-0.15-s.npz").is_file()


def test_embeddings_that_are_missing_are_named_with_the_fix(run: Path) -> None:
    with pytest.raises(AudiosslError, match=r"has no embeddings of dev by its last weights; .*--split dev"):
        score_again(run, checkpoint="last")
