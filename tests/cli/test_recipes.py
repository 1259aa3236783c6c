"""`audiossl recipe`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from audiossl.cli.main import app


def test_list_show_and_copy(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["recipe", "list", "--json"])
    assert {"fsdd", "quickstart"} <= {recipe["name"] for recipe in json.loads(listed.output)}
    assert "wakewords" in CliRunner().invoke(app, ["recipe", "list"]).output
    assert CliRunner().invoke(app, ["recipe", "show", "fsdd"]).output.startswith("# Free Spoken Digit Dataset")
    done = CliRunner().invoke(app, ["recipe", "copy", "fsdd", "--out", str(tmp_path)])
    assert done.output == f"Run it with: {tmp_path / 'fsdd' / 'run.sh'}\n"
    assert (tmp_path / "fsdd" / "keyword_spotting.yaml").is_file()
