"""One attempt at a unit, as a worker makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.units import unit

from audiossl.core.errors import OutputError
from audiossl.experiments.executors import attempts
from audiossl.experiments.executors.attempts import UnitTurn, attempt, fresh_log, log_of, lost, num_begun, output_to
from audiossl.experiments.executors.contract import Outcome


def test_what_a_unit_prints_is_in_its_log_and_nowhere_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    square = unit("square", "square 3", tmp_path, number=3)
    log = fresh_log(tmp_path, square)
    assert attempt(square, log) == Outcome("square 3", {"square": 9}, log=log)
    print("after it")
    assert log.read_text(encoding="utf-8").splitlines()[1:] == ["the square of 3"]
    assert capfd.readouterr().out == "after it\n"


def test_what_its_own_processes_print_is_there_too(tmp_path: Path) -> None:
    with output_to(tmp_path / "a.log"):
        subprocess.run([sys.executable, "-c", "print('from within')"], check=True)
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == "from within\n"


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("refuse", "lr=-1 must be above 0."),
        ("stumble", "b failed: ZeroDivisionError: integer division or modulo by zero"),
        ("nothing", "b failed: TypeError: toys.units:nothing must return a dict, and returned NoneType"),
        ("unsendable", "b failed: TypeError: Object of type PosixPath is not JSON serializable"),
        ("missing", "b failed: AttributeError: module 'toys.units' has no attribute 'missing'"),
    ],
)
def test_an_error_is_a_sentence_and_a_traceback(tmp_path: Path, function: str, sentence: str) -> None:
    log = tmp_path / "b.log"
    outcome = attempt(unit(function, "b", tmp_path), log)
    assert (outcome.error, outcome.value, outcome.log) == (sentence, None, log)
    assert "Traceback (most recent call last)" in log.read_text(encoding="utf-8")


def test_the_value_is_what_comes_back_from_another_machine(tmp_path: Path) -> None:
    assert attempt(unit("tuples", "c", tmp_path), tmp_path / "c.log").value == {"shape": [1, 2]}


def test_what_a_signal_stopped_is_no_error_of_the_unit(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="after step 5"):
        attempt(unit("interrupt", "d", tmp_path), tmp_path / "d.log")


def test_so_is_what_a_library_raised_over_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(unit("interrupt_a_library", "i", tmp_path), tmp_path / "i.log")


def test_attempts_are_counted_by_the_log(tmp_path: Path) -> None:
    square = unit("square", "e", tmp_path, number=1)
    log = fresh_log(tmp_path, square)
    assert num_begun(log) == 1
    for _ in range(3):
        attempt(square, log)
    assert num_begun(log) == 3
    assert fresh_log(tmp_path, square) == log
    assert not log.exists()


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    square = unit("square", "f", tmp_path, number=1)
    with pytest.raises(OutputError, match="cannot be written"):
        fresh_log(tmp_path, square)
    assert "cannot be written" in attempt(square, tmp_path / "logs" / "f.log").error


def test_names_that_are_no_names_of_files_stay_apart(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "a b", "ä", "x" * 300, "x" * 301, "../a", ".."]
    logs = {log_of(tmp_path, name) for name in names}
    assert len(logs) == len(names)
    assert {log.parent for log in logs} == {tmp_path / "logs"}
    assert max(len(log.name) for log in logs) < 130


def test_a_lost_unit_says_where_to_look(tmp_path: Path) -> None:
    square, log = unit("square", "g", tmp_path, number=1), tmp_path / "g.log"
    once = lost(square, 1, log)
    assert once.error.startswith("g: its worker ended without a result (killed, out of memory, or the machine is gone)")
    assert (once.log, once.attempts) == (None, 1)
    log.touch()
    assert "all 3 of its workers" in lost(square, 3, log).error
    assert lost(square, 3, log).log == log


def test_a_turn_is_settled_by_an_outcome_or_by_the_last_retry(tmp_path: Path) -> None:
    turn = UnitTurn(unit("square", "h", tmp_path, number=1), tmp_path / "h.log")
    assert turn.settled(Outcome("h", {"square": 1}), retries=0) == Outcome("h", {"square": 1}, attempts=1)
    assert turn.settled(None, retries=1) is None
    second = turn.again()
    assert second.settled(Outcome("h", error="no"), retries=1) == Outcome("h", error="no", attempts=2)
    settled = second.settled(None, retries=1)
    assert settled is not None
    assert (settled.attempts, settled.error[:6]) == (2, "h: all")


def test_threads_are_as_many_as_asked_for_or_as_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    try:
        attempts.limit_threads(3)
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("2", "3")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert attempts.num_cores() >= 1


def test_a_worker_can_say_how_many_threads_before_torch_is_there() -> None:
    code = "import sys, audiossl.experiments.executors.local.pool; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
