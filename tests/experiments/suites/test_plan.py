"""Cells: which there are, in which order, and what is there of them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import write_json
from audiossl.core.types import Metric
from audiossl.experiments.suites.plan import Plan, remember, result_elsewhere, stored
from audiossl.experiments.suites.recipes import prepare
from audiossl.experiments.suites.results import CellResult, ResultsFolder


def states(plan: Plan) -> list[str]:
    return [cell.state for cell in plan.cells]


@pytest.fixture
def prepared(toy: ToySuite) -> ToySuite:
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    return toy


def result_of(toy: ToySuite, task: str = "toy/words", name: str = "results", **more: object) -> CellResult:
    """A made-up result of the first cell of a task, with the key that it has to have."""
    (cell,) = toy.plan(toy.asked(only=[task]), name).cells
    assert cell.identity is not None
    run = toy.results(name).run(task, "log_mel", 0)
    run.mkdir(parents=True, exist_ok=True)
    place = toy.results(name).relative(run)
    made = CellResult(cell.key, task, "log_mel", 0, run=place, metric="accuracy", metrics={"accuracy": Metric(0.5)})
    return replace(made, identity=cell.identity, **more)  # type: ignore[arg-type]


def test_there_is_a_cell_for_each_encoder_task_and_seed(toy: ToySuite) -> None:
    """Those of one encoder and corpus are neighbours."""
    others = {**TASK, "corpus": "other"}
    (toy.data / "other").mkdir()
    tasks = {"toy/words": {**TASK, "search": {"seeds": [0, 3]}}, "toy/others": others, "toy/folds": TASK}
    toy.write_recipe("others", {"data": {"dir": "data/others"}})
    toy.write({**SUITE, "tasks": tasks})
    plan = toy.plan(toy.asked("log_mel", TERA, only=()))
    found = [(cell.encoder.choice.name, cell.task, cell.seed) for cell in plan.cells]
    one = [("toy/words", 0), ("toy/words", 3), ("toy/folds", 0), ("toy/others", 0)]
    assert found == [(name, *cell) for name in ("log_mel", "tera") for cell in one]
    assert [cell.config.seed for cell in plan.cells] == [0, 3, 0, 0] * 2
    assert plan.cells[0].title == "toy/words with log_mel, seed 0"
    assert plan.cells[3].corpus == ("log_mel", "other")
    assert states(plan) == ["new"] * 8
    assert plan.cells[0].key == ""  # nobody knows the rows yet


def test_what_cannot_be_computed_is_left_out_with_its_reason(toy: ToySuite) -> None:
    tasks = {
        "none/yet": {**TASK, "downstream": "separation"},
        "toy/words": {**TASK, "corpus": "elsewhere", "get": "write to its authors"},
        "toy/folds": TASK,
    }
    toy.write({**SUITE, "tasks": tasks})
    plan = toy.plan(toy.asked(only=()))
    assert [cell.task for cell in plan.cells] == ["toy/folds"]
    assert plan.left_out == {
        "none/yet": "the task 'separation' does not exist in this version",
        "toy/words": f"there is no folder elsewhere in {toy.data}; get it: write to its authors",
    }
    nowhere = toy.plan(toy.asked(only=(), data=None))
    assert not nowhere.is_done
    assert "--data or AUDIOSSL_DATA" in nowhere.left_out["toy/folds"]


def test_manifests_that_are_there_need_no_recordings_to_plan(prepared: ToySuite) -> None:
    shutil.rmtree(prepared.data)
    (cell,) = prepared.plan(prepared.asked(data=None)).cells
    assert len(cell.key) == 32


def test_a_result_is_done_and_another_setting_makes_it_stale(prepared: ToySuite) -> None:
    toy = prepared
    toy.results().write(result_of(toy))
    plan = toy.plan(toy.asked())
    assert states(plan) == ["done"]
    assert plan.is_done
    assert plan.to_compute == []
    changed = toy.plan(toy.asked(over={"trainer": {"steps": 9}, "task": {"pooling": "max"}}))
    (cell,) = changed.cells
    assert cell.state == "stale"
    assert set(cell.why.split(", ")) == {"trainer.steps", "task.pooling"}
    assert cell.is_wanted


@pytest.mark.parametrize(("state", "expected"), [("begun", "interrupted"), ("failed", "failed")])
def test_what_was_not_finished_is_said(prepared: ToySuite, state: str, expected: str) -> None:
    toy = prepared
    toy.results().write(result_of(toy, state=state, error="No memory."))
    (cell,) = toy.plan(toy.asked()).cells
    assert (cell.state, cell.why) == (expected, "No memory.")
    assert cell.is_wanted


def test_a_result_of_another_folder_counts_while_it_is_whole(prepared: ToySuite) -> None:
    toy = prepared
    result, folder = result_of(toy), toy.results()
    folder.write(result)
    remember(result, folder)
    shutil.copytree(folder.path / "data", toy.path / "more" / "data")
    (cell,) = toy.plan(toy.asked(), "more").cells
    assert (cell.state, cell.why) == ("elsewhere", str(folder.path))
    assert not cell.is_wanted
    found = result_elsewhere(cell.key)
    assert found is not None
    assert found[1] == result
    shutil.rmtree(folder.path / result.run)
    assert states(toy.plan(toy.asked(), "more")) == ["new"]
    assert result_elsewhere("0" * 32) is None


def test_an_entry_that_lies_is_no_result(prepared: ToySuite) -> None:
    toy = prepared
    result, folder = result_of(toy), toy.results()
    folder.write(replace(result, key="another"))
    remember(result, folder)
    assert result_elsewhere(result.key) is None
    write_json(toy.path / "cache" / "suites" / "cells" / f"{result.key}.json", {"folder": 3})
    assert result_elsewhere(result.key) is None


def test_a_damaged_result_is_named(prepared: ToySuite) -> None:
    toy = prepared
    folder = ResultsFolder(toy.path / "results")
    path = folder.cell("toy/words", "log_mel", 0)
    assert stored(folder, path) is None
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(AudiosslError, match=r"seed0\.json"):
        toy.plan(toy.asked())


def test_a_setting_that_no_task_takes_is_one_sentence(toy: ToySuite) -> None:
    with pytest.raises(ConfigError, match="stepz"):
        toy.plan(toy.asked(over={"trainer": {"stepz": 3}}))
