"""A results folder: its places, and a cell's file there and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.core.types import Metric
from audiossl.experiments.suites.results import (
    CellResult,
    Cost,
    EncoderFacts,
    Identity,
    ResultsFolder,
    Tried,
    failed,
    folder_of,
)

CELL = CellResult(
    key="k" * 32,
    task="toy/words",
    upstream="hf:me/mine",
    seed=2,
    metric="accuracy",
    metrics={"accuracy": Metric(0.5, 0.25, 0.75, 12, "speaker"), "f1": Metric(0.4)},
    num_items=24,
    dev=0.75,
    trials=[Tried("lr=0.1", {"lr": 0.1}, 0.75), Tried("lr=1", {"lr": 1.0}, None, "failed")],
    layer_weights={"layers": [0.25, 0.75]},
    layer_norms=[1.0, 2.0],
    identity=Identity("weights", {"seed": 2}, {"train": "rows"}, {"loop": "code"}),
    encoder=EncoderFacts("mine", {"width": 8}, 100, 2, 3.5, ["LibriSpeech"]),
    cost=Cost(2.0, 0.5, 1000, 12.5, "cuda"),
    suite="toy",
    suite_version=1,
)


def test_a_cell_is_written_and_read(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write(CELL)
    path = tmp_path / "cells" / "toy" / "words" / "hf_me_mine" / "seed2.json"
    assert folder.cell("toy/words", "hf:me/mine", 2) == path
    assert folder.read(path) == CELL
    assert folder.relative(path) == "cells/toy/words/hf_me_mine/seed2.json"
    figure = CELL.figure
    assert figure is not None
    assert figure.value == 0.5
    assert CELL.title == "toy/words with hf:me/mine, seed 2"
    assert CELL.cost.total_s == 2.5


def test_folds_lie_beside_the_whole_and_all_are_collected(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    parts = [replace(CELL, fold=name) for name in ("one", "two/2")]
    for cell in (CELL, *parts):
        folder.write(cell)
    assert [path.name for path in folder.folds("toy/words", "hf:me/mine", 2)] == [
        "seed2.fold-one.json",
        "seed2.fold-two_2.json",
    ]
    assert parts[0].title.endswith(", fold one")
    folder.collect()
    rows = [json.loads(line) for line in folder.results_path.read_text().splitlines()]
    assert [row["fold"] for row in rows] == ["one", "two/2", ""]
    assert [CellResult.from_json(row, "a line") for row in rows] == [*parts, CELL]


def test_a_failed_cell_has_no_figure(tmp_path: Path) -> None:
    made = failed(replace(CELL, metrics={}), "No memory; take smaller batches.", "logs/a.log")
    folder = ResultsFolder(tmp_path)
    folder.write(made)
    (found,) = folder.results()
    assert (found.state, found.error, found.log, found.figure) == ("failed", made.error, "logs/a.log", None)


def test_facts_of_another_version_are_left_out() -> None:
    stored = {**CELL.as_json(), "what_is_to_come": 1}
    stored["cost"] = {**stored["cost"], "co2_g": 1.0}
    assert CellResult.from_json(stored, "a file") == CELL
    older = {name: value for name, value in stored.items() if name not in ("encoder", "trials", "versions")}
    assert CellResult.from_json(older, "a file") == replace(CELL, encoder=EncoderFacts(), trials=[])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"key": 3}', '{"key": "k", "task": "t", "upstream": "u", "seed": "s"}']
)
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed0.json"
    path.write_text(text)
    with pytest.raises(AudiosslError, match=r"seed0\.json") as caught:
        ResultsFolder(tmp_path).read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("tera_mini:random", "tera_mini_random"), ("../../etc", "etc"), ("..", "_"), ("a b,c=[1]", "a_b_c=_1"), ("", "_")],
)
def test_a_name_that_was_typed_is_one_folder(name: str, folder: str) -> None:
    assert folder_of(name) == folder


def test_places(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert str(folder) == str(tmp_path)
    assert folder.lock_path == tmp_path / "suite.json"
    assert folder.logs_path == tmp_path / "logs"
    assert folder.data("toy") == tmp_path / "data" / "toy"
    assert folder.run("toy/words", "tera_mini:random", 1) == tmp_path / "runs/toy/words/tera_mini_random/seed1"
    assert list(folder.results()) == []
