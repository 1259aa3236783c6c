"""`audiossl fuse`: what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiossl.cli.main import app
from audiossl.core.types import Metric
from audiossl.experiments import fusing
from audiossl.metrics.jackknife import Difference
from audiossl.training.fusion import Fused


def test_metrics_and_differences_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [Difference(-0.01, -0.02, -0.001, 0.03, 10, "speaker"), Difference(0.0)]
    fused = Fused([], {"eer": Metric(0.05, 0.02, 0.1, 10, "speaker")}, "eer", differences, {"weights": [1.0, 2.0]})
    asked: list[tuple[list[Path], str, str]] = []
    monkeypatch.setattr(fusing, "fuse_runs", lambda runs, split, weights: asked.append((runs, split, weights)) or fused)
    shown = CliRunner().invoke(app, ["fuse", "a", "b", "--split", "test2"])
    assert shown.exit_code == 0, shown.output
    assert asked == [([Path("a"), Path("b")], "test2", "dev")]
    assert "5.0" in shown.stdout
    assert "-2.0 to -0.1" in shown.stdout
    assert "0.03" in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["fuse", "a", "b", "--json"]).stdout)
    assert (told["weights"], told["differences"][0]["p_value"]) == ([1.0, 2.0], 0.03)
