"""What a worker computes of a cell, and what it writes down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.config import as_dict
from audiossl.core.tensors import fingerprint
from audiossl.encoders import kept
from audiossl.encoders.kept import forget_encoder, keep_encoder, load_identified
from audiossl.experiments.loading import load_run
from audiossl.experiments.suites.plan import Cell
from audiossl.experiments.suites.recipes import prepare
from audiossl.experiments.suites.results import CellResult
from audiossl.experiments.suites.work import begin_cell, compute_cell, pool_folds


def begun(toy: ToySuite, task: str = "toy/words", **search: Any) -> tuple[dict[str, Any], Cell]:
    """The arguments of a unit, and its cell."""
    toy.write({**SUITE, "tasks": {task: {**TASK, "search": search}}})
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    (cell,) = toy.plan(toy.asked(only=[task])).cells
    assert cell.identity is not None
    made = CellResult(cell.key, task, "log_mel", 0, state="begun", metric="accuracy", identity=cell.identity)
    arguments = {"out": str(toy.results()), "begun": made.as_json(), "config": as_dict(cell.config)}
    return json.loads(json.dumps(arguments)), cell


def test_a_search_keeps_all_that_was_tried(toy: ToySuite) -> None:
    arguments, cell = begun(toy, lr=[0.02, 0.002])
    value = compute_cell(**arguments)
    found = toy.cell()
    assert found.state == "finished"
    assert found.figure is not None
    assert value == {"key": cell.key, "figure": found.figure.value}
    assert {tried.values["lr"] for tried in found.trials} == {0.02, 0.002}
    best = max(tried.dev for tried in found.trials if tried.dev is not None)
    assert found.dev == best
    assert found.chosen.startswith(found.run)
    assert found.chosen != found.run
    folder = toy.results()
    rows = [json.loads(line) for line in (folder.path / found.predictions).read_text().splitlines()]
    assert found.num_items == len(rows) == 9
    right = sum(row["predicted"] == row["target"] for row in rows) / 9
    assert found.figure.value == pytest.approx(right)
    assert found.interface == "weighted_sum"
    assert found.versions["torch"]
    assert found.cost.train_s > 0
    assert found.cost.evaluate_s > 0
    assert found.cost.peak_memory_bytes > 0


def test_one_run_is_its_own_choice(toy: ToySuite) -> None:
    arguments, _ = begun(toy)
    compute_cell(**arguments)
    found = toy.cell()
    assert found.chosen == found.run
    assert found.trials == []
    assert found.dev is not None


def test_folds_are_begun_computed_and_pooled(toy: ToySuite) -> None:
    arguments, cell = begun(toy, "toy/folds")
    assert begin_cell(**arguments) == {"folds": ["1", "2"]}
    assert begin_cell(**arguments) == {"folds": ["1", "2"]}  # the same ones, drawn before
    drawn = (toy.results().path / "runs/toy/folds/log_mel/seed0/folds.json").read_text()
    for name in ("1", "2"):
        one = replace(CellResult.from_json(arguments["begun"], "it"), fold=name, key=f"{cell.key}{name}")
        compute_cell(**{**arguments, "begun": one.as_json()})
    value = pool_folds(**arguments)
    whole = toy.cell("toy/folds")
    assert whole.figure is not None
    assert value["figure"] == whole.figure.value
    assert whole.folds == ["1", "2"]
    assert whole.chosen == ""
    folder = toy.results()
    parts = [folder.read(path) for path in folder.folds("toy/folds", "log_mel", 0)]
    assert sum(part.num_items for part in parts) == whole.num_items == 27
    assert whole.cost.train_s == pytest.approx(sum(part.cost.train_s for part in parts))
    assert all((folder.path / part.predictions).is_file() for part in parts)
    assert (toy.results().path / whole.run / "folds.json").read_text() == drawn


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the encoders that were loaded."""
    names: list[str] = []
    load = kept.load_upstream
    monkeypatch.setattr(kept, "load_upstream", lambda name, **options: [names.append(name), load(name, **options)][1])
    yield names
    forget_encoder()


def test_the_encoder_is_loaded_once_for_all_that_a_worker_computes(toy: ToySuite, loads: list[str]) -> None:
    arguments, cell = begun(toy, "toy/folds")
    forget_encoder()
    begin_cell(**arguments)
    for name in ("1", "2"):
        one = replace(CellResult.from_json(arguments["begun"], "it"), fold=name, key=f"{cell.key}{name}")
        compute_cell(**{**arguments, "begun": one.as_json()})
    pool_folds(**arguments)
    assert loads == ["log_mel"]
    # A head that was trained and tested on an encoder of its own says the same.
    first = toy.results().read(toy.results().folds("toy/folds", "log_mel", 0)[0])
    before = (toy.results().path / first.predictions).read_bytes()
    run = load_run(toy.results().path / first.run)
    run.evaluate("test")
    assert (toy.results().path / first.predictions).read_bytes() == before
    assert len(loads) == 2


def test_an_encoder_that_is_trained_is_loaded_each_time(toy: ToySuite, loads: list[str]) -> None:
    toy.write({**SUITE, "tasks": {"toy/words": {**TASK, "settings": {"finetune": {"mode": "all"}}}}})
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    (cell,) = toy.plan(toy.asked(TERA)).cells
    made = CellResult(cell.key, "toy/words", TERA, 0, state="begun", metric="accuracy")
    with keep_encoder("of an earlier unit"):
        frozen = load_identified(cell.config.upstream, cell.config.upstream_options)
    compute_cell(str(toy.results()), made.as_json(), as_dict(cell.config))
    assert loads == ["tera", "tera", "tera"]  # frozen, for training and for evaluation
    assert fingerprint(frozen.upstream) == frozen.fingerprint


def test_a_figure_that_a_task_does_not_have_is_said(toy: ToySuite, caplog: pytest.LogCaptureFixture) -> None:
    arguments, _ = begun(toy)
    arguments["begun"]["metric"] = "wer"
    assert compute_cell(**arguments)["figure"] is None
    assert "toy/words with log_mel, seed 0 has no 'wer'; it has: " in caplog.text


def test_other_folders_learn_where_the_result_is(toy: ToySuite, tmp_path: Path) -> None:
    arguments, cell = begun(toy)
    compute_cell(**arguments)
    said = json.loads((tmp_path / "cache" / "suites" / "cells" / f"{cell.key}.json").read_text())
    assert Path(said["folder"]) == toy.results().path
    assert (toy.results().path / said["cell"]).is_file()
