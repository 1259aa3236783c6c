"""`audiossl suggest`."""

from __future__ import annotations

import json
from pathlib import Path

from toys.archive import write_tone
from typer.testing import CliRunner

from audiossl.cli.main import app
from audiossl.core.errors import ConfigError, OutputError
from audiossl.data.annotations import read_annotations
from audiossl.experiments.start import train


def test_a_table_is_written_once(experiment: object, tmp_path: Path) -> None:
    run = train(experiment("trainer.steps=2"), tmp_path / "run")  # type: ignore[operator]
    sound = write_tone(tmp_path / "sound.wav", 700, 1.0)
    command = ["suggest", str(run), str(sound), "--out", str(tmp_path / "todo.csv"), "--num", "2", "--window-s", "0.5"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["windows"] == 2
    assert len(read_annotations(tmp_path / "todo.csv")) == 2
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, OutputError)
    wrong = CliRunner().invoke(app, [*command, "--format", "excel"])
    assert isinstance(wrong.exception, ConfigError)
