"""`audiossl segment`."""

from __future__ import annotations

from pathlib import Path

from lhotse import CutSet
from toys.tones import tone_row
from typer.testing import CliRunner

from audiossl.cli.main import app


def test_fit_and_apply(tmp_path: Path) -> None:
    for split, name in (("dev", "a"), ("test", "b")):
        row = tone_row(tmp_path / split, name, ["low", "mid", "high"])
        CutSet.from_cuts([row]).to_file(tmp_path / f"{split}.jsonl.gz")
    options = ["--dev", str(tmp_path / "dev.jsonl.gz"), "--test", str(tmp_path / "test.jsonl.gz"), "--no-cache"]
    fitted = str(tmp_path / "fitted")
    command = ["segment", "fit", "log_mel", *options, "--out", fitted, "--methods", "greedy", "--group", "recording"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "| log_mel | greedy | 0 |" in done.stdout
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["segment", "apply", fitted, str(tmp_path / "test" / "b.wav"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "b.TextGrid").is_file() and "segments" in done.stdout
    done = CliRunner().invoke(app, ["segment", "apply", fitted, str(tmp_path / "test" / "b.wav"), "--format", "x"])
    assert done.exit_code == 1 and "choose textgrid or ctm" in str(done.exception)
