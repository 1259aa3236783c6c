"""`audiossl callers`."""

from __future__ import annotations

from pathlib import Path

from toys.probes import write_tones
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_command(tmp_path: Path) -> None:
    data = write_tones(tmp_path)
    command = ["callers", "log_mel", "--data", str(data), "--out", str(tmp_path / "out"), "--probes", "prototype"]
    done = CliRunner().invoke(app, [*command, "--group", "speaker"])
    assert done.exit_code == 0, done.output
    assert "| log_mel | prototype | 0 |" in done.stdout
    assert (tmp_path / "out" / "log_mel" / "probes.json").is_file()
