"""Units in several processes: whatever happens to a worker, the others do not notice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from toys.core import ROOT
from toys.units import is_alive, marks, squares, unit, until

from audiossl.experiments.executors.attempts import num_cores
from audiossl.experiments.executors.contract import Outcome
from audiossl.experiments.executors.local.pool import Pool
from audiossl.experiments.executors.local.serial import Serial


def pool(folder: Path, jobs: int = 2) -> Pool:
    return Pool(folder, lambda line: None, Pool.Config(jobs))


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({outcome.unit for outcome in outcomes}) == len(outcomes)
    return {outcome.unit: outcome for outcome in outcomes}


def test_what_it_gives_is_what_one_process_gives(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    serial = list(Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 9)))
    capfd.readouterr()
    outcomes = by_name(list(pool(tmp_path / "many", 3).run(squares(tmp_path / "many", 9))))
    assert {name: outcome.value for name, outcome in outcomes.items()} == {each.unit: each.value for each in serial}
    assert set(marks(tmp_path / "many", "done").values()) == {1}
    assert capfd.readouterr().out == ""
    for number, outcome in enumerate(outcomes[f"square {n}"] for n in range(9)):
        assert outcome.log is not None
        assert f"the square of {number}" in outcome.log.read_text(encoding="utf-8")
    assert multiprocessing.active_children() == []


def test_one_that_raises_is_not_tried_again(tmp_path: Path) -> None:
    units = [unit("refuse", "a", tmp_path), unit("stumble", "b", tmp_path), *squares(tmp_path, 2)]
    outcomes = by_name(list(pool(tmp_path).run(units)))
    assert (outcomes["a"].error, outcomes["a"].attempts) == ("lr=-1 must be above 0.", 1)
    assert "ZeroDivisionError" in outcomes["b"].error
    assert outcomes["b"].log is not None
    assert "Traceback" in outcomes["b"].log.read_text(encoding="utf-8")
    assert outcomes["square 1"].value == {"square": 1}


def test_a_worker_that_is_killed_costs_its_own_unit_a_retry(tmp_path: Path) -> None:
    said: list[str] = []
    units = [unit("die", "a", tmp_path, times=1), unit("die", "b", tmp_path, times=9), *squares(tmp_path, 6, 0.05)]
    outcomes = by_name(list(Pool(tmp_path, said.append, Pool.Config(2)).run(units)))
    assert (outcomes["a"].value, outcomes["a"].attempts) == ({"attempt": 2}, 2)
    assert (outcomes["b"].value, outcomes["b"].attempts) == (None, 2)
    assert "b: all 2 of its workers ended without a result" in outcomes["b"].error
    assert outcomes["b"].log is not None
    assert outcomes["b"].log.read_text(encoding="utf-8").count("about to be killed") == 2
    assert [outcomes[f"square {n}"].attempts for n in range(6)] == [1] * 6
    assert set(marks(tmp_path, "done").values()) == {1}
    assert len(said) == 2


def test_no_retry_is_none(tmp_path: Path) -> None:
    (outcome,) = pool(tmp_path).run([unit("die", "a", tmp_path, times=1)], retries=0)
    assert (outcome.attempts, marks(tmp_path, "begun")["a"]) == (1, 1)
    assert "a: its worker ended" in outcome.error


def test_a_unit_that_a_signal_stopped_goes_on_elsewhere(tmp_path: Path) -> None:
    (outcome,) = pool(tmp_path).run([unit("interrupt", "a", tmp_path)])
    assert (outcome.value, outcome.attempts) == ({"attempt": 2}, 2)


def test_no_unit_is_no_outcome(tmp_path: Path) -> None:
    assert list(pool(tmp_path).run([])) == []


def test_processors_are_divided_and_said_before_torch_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    units = [unit("environment", f"{n}", tmp_path) for n in range(4)]
    found = [outcome.value or {} for outcome in pool(tmp_path, 2).run(units)]
    assert {each["threads"] for each in found} == {str(max(1, num_cores() // 2))}
    assert not any(each["torch"] for each in found)
    assert len({each["pid"] for each in found} - {os.getpid()}) <= 2
    assert "OMP_NUM_THREADS" not in os.environ


def test_closing_ends_what_still_runs(tmp_path: Path) -> None:
    units = [*squares(tmp_path, 1), unit("sleep", "a", tmp_path), unit("sleep", "b", tmp_path)]
    outcomes = pool(tmp_path).run(units)
    assert next(outcomes).value == {"square": 0}
    until(lambda: len(marks(tmp_path, "pids")) == 2)
    outcomes.close()
    assert multiprocessing.active_children() == []


def test_closing_lets_training_save(tmp_path: Path) -> None:
    outcomes = pool(tmp_path).run([*squares(tmp_path, 1), unit("train", "a", tmp_path)])
    next(outcomes)
    until(lambda: marks(tmp_path, "pids"))
    outcomes.close()
    assert marks(tmp_path, "saved") == {"a": 1}


PROGRAM = """
import pathlib, sys
from audiossl.experiments.executors.local.pool import Pool
from toys.units import unit
folder = pathlib.Path(sys.argv[1])
units = [unit("train", "a", folder), unit("sleep", "b", folder)]
print(list(Pool(folder, print, Pool.Config(2)).run(units)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, number: int) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    running = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)
    try:
        until(lambda: len(marks(tmp_path, "pids")) == 2 or running.poll() is not None)
        pids = [int(name) for name in marks(tmp_path, "pids")]
        assert [is_alive(pid) for pid in pids] == [True, True]
        if number == signal.SIGINT:
            os.killpg(running.pid, number)  # as a terminal does: the workers get it too
        else:
            running.kill()
        assert running.wait(timeout=60) != 0
        until(lambda: not any(is_alive(pid) for pid in pids))
        assert marks(tmp_path, "saved") == {"a": 1}
    finally:
        running.kill()


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_units_under_random_kills_give_what_one_process_gives(tmp_path: Path) -> None:
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    expected = [(each.unit, each.value) for each in Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 100))]
    rng, over, kills = random.Random(0), threading.Event(), []

    def kill_now_and_then() -> None:
        while not over.wait(rng.uniform(0.3, 1.5)):
            if children := multiprocessing.active_children():
                victim = rng.choice(sorted(child.pid or 0 for child in children))
                os.kill(victim, signal.SIGKILL)
                kills.append(victim)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        outcomes = list(pool(tmp_path / "many").run(squares(tmp_path / "many", 100, 0.2), retries=100))
    finally:
        over.set()
        killer.join()
    assert sorted((each.unit, each.value) for each in outcomes) == sorted(expected)
    begun, done = marks(tmp_path / "many", "begun"), marks(tmp_path / "many", "done")
    assert len(kills) >= 5
    assert 0 < sum(each.attempts - 1 for each in outcomes) <= len(kills)
    for each in outcomes:
        assert 1 <= done[each.unit] <= begun[each.unit] <= each.attempts
    for name in ("one", "many"):
        assert len(list((tmp_path / name).glob("square *.json"))) == 100
