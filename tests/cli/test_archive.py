"""`audiossl index`, `search`, `cluster` and `novelty`."""

from __future__ import annotations

import json
from pathlib import Path

from toys.archive import write_archive, write_tone
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_an_archive_is_searched_clustered_and_compared(tmp_path: Path) -> None:
    sound, index = str(write_archive(tmp_path / "sound")), str(tmp_path / "index")
    query = str(write_tone(tmp_path / "query.wav", 1501, 0.5))
    made = CliRunner().invoke(
        app,
        ["index", "tera_mini", sound, "--out", index, "-o", "weights=random", "--window-s", "0.5", "--layer", "0"],
    )
    assert made.exit_code == 0, made.output
    assert "36 window(s) of 9 file(s), layer 0 of tera_mini" in made.stdout
    found = CliRunner().invoke(app, ["search", index, query, "--num", "3", "--json"])
    rows = json.loads(found.stdout)
    assert len(rows) == 3
    assert list(rows[0]) == ["file", "start_s", "end_s", "score", "label"]
    novel = CliRunner().invoke(app, ["novelty", index, query])
    assert "share_farther" in novel.stdout, novel.output
    page = CliRunner().invoke(app, ["cluster", index, "--out", str(tmp_path / "page")])
    assert "Page:" in page.stdout, page.output
    assert (tmp_path / "page" / "index.html").is_file()
