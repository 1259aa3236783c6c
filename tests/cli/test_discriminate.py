"""`audiossl discriminate`."""

from __future__ import annotations

import json
from pathlib import Path

from toys.tones import spoken_rows
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_command(tmp_path: Path) -> None:
    rows = spoken_rows(tmp_path)
    command = ["discriminate", "log_mel", "--data", str(rows), "--out", str(tmp_path / "out"), "--no-cache"]
    done = CliRunner().invoke(app, [*command, "--standardize"])
    assert done.exit_code == 0, done.output
    assert "| ABX error within speakers (mean) | log_mel | 0 | 0.000" in done.stdout
    told = CliRunner().invoke(app, [*command, "--scores", "ap", "--distances", "mean", "--json"])
    assert told.exit_code == 0, told.output
    assert set(json.loads(told.stdout)["encoders"][0]["best"]) == {"ap (mean)", "ap_across (mean)"}
