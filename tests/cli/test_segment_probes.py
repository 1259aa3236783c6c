"""`audiossl probe-segments`."""

from __future__ import annotations

from pathlib import Path

from toys.tones import spoken_rows
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_command(tmp_path: Path) -> None:
    rows = spoken_rows(tmp_path)
    command = ["probe-segments", "log_mel", "--data", str(rows), "--out", str(tmp_path / "out"), "--folds", "3"]
    done = CliRunner().invoke(app, [*command, "--least-items", "2", "--dir", str(tmp_path / "cache")])
    assert done.exit_code == 0, done.output
    assert "| log_mel, random labels |" in done.stdout
    assert (tmp_path / "out" / "segment_probes.png").is_file()
