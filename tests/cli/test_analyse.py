"""`audiossl analyse`."""

from __future__ import annotations

from pathlib import Path

from toys.layerwise import write_speakers
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_command(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    views = f"mel,phones={tmp_path / 'phones.ctm'}"
    command = ["analyse", "log_mel", "--data", str(manifest), "--with", views, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--seeds", "1", "--moments", "0", "--no-cache"])
    assert done.exit_code == 0, done.output
    assert "## phones" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "figures" / "phones.png").is_file()
