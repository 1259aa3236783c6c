"""Units in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.units import marks, squares, unit

from audiossl.experiments.executors.contract import Outcome
from audiossl.experiments.executors.local.serial import Serial


def test_outcomes_come_in_order_and_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = Serial(tmp_path, print).run(squares(tmp_path, 3))
    assert next(outcomes) == Outcome("square 0", {"square": 0})
    assert marks(tmp_path, "done") == {"square 0": 1}
    assert list(outcomes) == [Outcome("square 1", {"square": 1}), Outcome("square 2", {"square": 4})]
    assert capsys.readouterr().out.splitlines() == ["the square of 0", "the square of 1", "the square of 2"]
    assert list((tmp_path / "logs").iterdir()) == []


def test_one_that_raises_leaves_a_traceback_and_the_others_go_on(tmp_path: Path) -> None:
    units = [unit("refuse", "a", tmp_path), unit("stumble", "b", tmp_path), *squares(tmp_path, 1)]
    first, second, third = Serial(tmp_path, print).run(units)
    assert (first.error, first.value) == ("lr=-1 must be above 0.", None)
    assert second.error.startswith("b failed: ZeroDivisionError")
    assert second.log is not None
    assert "line" in second.log.read_text(encoding="utf-8")
    assert third.value == {"square": 0}


def test_what_a_signal_stopped_ends_the_run(tmp_path: Path) -> None:
    outcomes = Serial(tmp_path, print).run([unit("interrupt", "a", tmp_path), *squares(tmp_path, 1)])
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert marks(tmp_path, "done") == {}
