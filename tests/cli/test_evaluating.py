"""`audiossl evaluate`: what goes together, and tables of groups as text (see tests/experiments/test_grouping.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiossl.cli.evaluating import _print_groups
from audiossl.cli.main import app
from audiossl.core.errors import ConfigError
from audiossl.core.types import Table


def test_what_predicts_is_refused_beside_stored_predictions(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--stored", "--members"])
    assert isinstance(done.exception, ConfigError)
    assert "--stored predicts nothing" in str(done.exception)


def test_a_group_is_text_whatever_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    _print_groups(Table("By [red]place", ["place", "items"], [["[b]here", 3]], "Gap from [b]here to there."))
    printed = capsys.readouterr().out
    assert "By [red]place" in printed and "[b]here" in printed and "Gap from [b]here to there." in printed
