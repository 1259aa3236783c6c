"""The units of a suite: which are given out, in which parts, and what is written down of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.files import read_json, write_json
from audiossl.experiments.executors.contract import Outcome, Unit
from audiossl.experiments.suites.plan import Cell
from audiossl.experiments.suites.recipes import prepare
from audiossl.experiments.suites.runner import Runner, RunOptions


class Scripted:
    """Gives the outcomes that it is told, and keeps the units. What a unit would compute is not computed."""

    width = 4

    def __init__(self, outcomes: Any) -> None:
        self.outcomes, self.units, self.retries = outcomes, list[Unit](), set[int]()

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        self.units += units
        self.retries.add(retries)
        for unit in units:
            yield self.outcomes(unit)


ENCODED = {"seconds": 5.0, "audio_s": 3600.0, "layer_norms": [1.0, 2.0], "entries": ["e"]}


@pytest.fixture
def cells(toy: ToySuite) -> Any:
    def made(*upstreams: str, tasks: Sequence[str] = ("toy/words",)) -> list[Cell]:
        toy.write({**SUITE, "tasks": dict.fromkeys(tasks, TASK)})
        prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
        return toy.plan(toy.asked(*upstreams, only=())).cells

    return made


@pytest.fixture
def runner(toy: ToySuite) -> Any:
    def made(outcomes: Any, **options: Any) -> tuple[Runner, Scripted]:
        executor = Scripted(outcomes)
        return Runner(toy.suite(), toy.results(), executor, RunOptions(**options), toy.lines.append), executor

    return made


def failing(unit: Unit) -> Outcome:
    log = Path("elsewhere.log")
    return (
        Outcome(unit.name, ENCODED) if unit.name.startswith("encode") else Outcome(unit.name, None, "No memory.", log)
    )


def test_nothing_is_given_out_for_no_cells(runner: Any) -> None:
    made, executor = runner(failing)
    made.run([])
    assert executor.units == []


def test_what_fails_is_written_down(cells: Any, runner: Any, toy: ToySuite) -> None:
    made, executor = runner(failing, retries=3)
    made.run(cells("log_mel"))
    assert [unit.name for unit in executor.units] == ["encode toy with log_mel", "toy/words with log_mel, seed 0"]
    assert executor.retries == {3}
    found = toy.cell()
    assert (found.state, found.error, found.log) == ("failed", "No memory.", "elsewhere.log")
    assert (found.suite, found.suite_version, found.downstream) == ("toy", 1, "utterance_classification")
    assert found.layer_norms == [1.0, 2.0]
    assert found.encoder.seconds_per_hour == pytest.approx(5.0)
    assert "toy/words with log_mel, seed 0: failed. No memory. See elsewhere.log." in toy.lines


def test_logs_in_the_results_folder_are_relative_to_it(cells: Any, runner: Any, toy: ToySuite) -> None:
    log = toy.results().path / "logs" / "one.log"
    made, _ = runner(lambda unit: Outcome(unit.name, ENCODED if "encode" in unit.name else None, "No.", log))
    made.run(cells("log_mel"))
    assert toy.cell().log == "logs/one.log"


def test_passes_are_given_out_in_parts_where_workers_would_be_idle(cells: Any, runner: Any) -> None:
    made, executor = runner(failing, width=4)
    made.run(cells("log_mel"))
    parts = [unit for unit in executor.units if unit.name.startswith("encode")]
    assert [unit.arguments["share"] for unit in parts] == [[number, 4] for number in range(4)]
    assert parts[0].name == "encode toy with log_mel, part 1 of 4"
    made, executor = runner(failing, width=2)
    made.run(cells("log_mel", TERA))
    assert [unit.arguments["share"] for unit in executor.units if unit.name.startswith("encode")] == [[0, 1], [0, 1]]


def test_a_pass_that_fails_stops_no_cell(cells: Any, runner: Any, toy: ToySuite) -> None:
    made, executor = runner(lambda unit: Outcome(unit.name, None, "The disk is full."))
    made.run(cells("log_mel"))
    assert "encode toy with log_mel: The disk is full. The cells encode what they lack." in toy.lines
    assert [unit.name for unit in executor.units][1:] == ["toy/words with log_mel, seed 0"]


def test_features_that_are_off_are_not_computed_before(cells: Any, runner: Any, toy: ToySuite) -> None:
    toy.write_recipe("words", {"features": "off", "data": {"dir": "data/toy"}})
    made, executor = runner(failing)
    made.run(cells("log_mel"))
    assert [unit.name for unit in executor.units] == ["toy/words with log_mel, seed 0"]
    toy.write_recipe("words", {"data": {"dir": "data/toy"}})
    made, executor = runner(failing, extract=False)
    made.run(cells("log_mel"))
    assert [unit.name for unit in executor.units] == ["toy/words with log_mel, seed 0"]


def test_speeds_of_several_passes_are_added(cells: Any, runner: Any, toy: ToySuite) -> None:
    path = toy.results().path / "encoders" / "log_mel.json"
    write_json(path, {"seconds": 1.0, "audio_s": 1800.0, "layer_norms": {"other": [3.0]}})
    made, _ = runner(failing)
    made.run(cells("log_mel"))
    assert read_json(path) == {"seconds": 6.0, "audio_s": 5400.0, "layer_norms": {"other": [3.0], "toy": [1.0, 2.0]}}


def test_folds_that_are_done_are_not_given_out_again(cells: Any, runner: Any, toy: ToySuite) -> None:
    def outcomes(unit: Unit) -> Outcome:
        value: dict[str, Any] = ENCODED if unit.name.startswith("encode") else {"folds": ["1", "2"]}
        return Outcome(unit.name, value if not unit.name[-1].isdigit() else None, "No.")

    (cell,) = cells("log_mel", tasks=["toy/folds"])
    made, executor = runner(outcomes)
    made.run([cell])
    fold = "toy/folds with log_mel, seed 0, fold"
    assert [unit.name for unit in executor.units][2:] == [f"{fold} 1", f"{fold} 2"]
    assert toy.cell("toy/folds").error == "Of its folds, 1, 2 could not be computed."
    folder = toy.results()
    for path in folder.folds("toy/folds", "log_mel", 0)[:1]:
        write_json(path, {**folder.read(path).as_json(), "state": "finished"})
    made, executor = runner(outcomes)
    made.run([cell])
    assert [unit.name for unit in executor.units][2:] == [f"{fold} 2"]


def test_encoders_take_turns_where_their_states_are_dropped(cells: Any, runner: Any, toy: ToySuite) -> None:
    made, executor = runner(failing, drop=True)
    made.run(cells("log_mel", TERA))
    assert [unit.name.split(" with ")[0] for unit in executor.units] == ["encode toy", "toy/words"] * 2
    assert [line for line in toy.lines if line.startswith("Removed 0.00 GB of hidden states of log_mel")]
