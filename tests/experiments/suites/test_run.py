"""A suite from the command to its results: nothing twice, what changed again, what fails alone."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys.recipes import rows_of
from toys.suites import SUITE, TASK, TERA, WORDS, ToySuite

from audiossl.core.errors import TrainingError
from audiossl.core.files import read_json
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.suites import runner as runner_module
from audiossl.experiments.suites.lockfile import write_lock
from audiossl.experiments.suites.results import ResultsFolder

BOTH = ("toy/words", "toy/folds")


def test_a_suite_is_computed_and_then_never_again(toy: ToySuite) -> None:
    """With one upstream more, its cells alone are computed."""
    asked = toy.asked(only=BOTH)
    after, given = toy.run(asked)
    assert after.is_done
    assert [cell.state for cell in after.cells] == ["done", "done"]
    folds = [f"toy/folds with log_mel, seed 0, fold {name}" for name in ("1", "2")]
    titles = ["toy/words with log_mel, seed 0", "toy/folds with log_mel, seed 0"]
    assert sorted(given) == sorted(["encode toy with log_mel", f"{titles[1]}, folds", *titles, *folds])
    assert (toy.path / "results" / "prepared.txt").read_text() == "prepared\n"
    lines = (toy.path / "results" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 4
    whole = toy.cell("toy/folds")
    assert whole.folds == ["1", "2"]
    assert whole.num_items == 27
    assert whole.cost.train_s == pytest.approx(
        sum(json.loads(line)["cost"]["train_s"] for line in lines if json.loads(line)["fold"])
    )

    again, given = toy.run(asked)
    assert again.is_done
    assert given == []

    more, given = toy.run(toy.asked("log_mel", "log_mel,num_features=20", only=["toy/words"]))
    assert more.is_done
    assert given == ["encode toy with log_mel,num_features=20", "toy/words with log_mel,num_features=20, seed 0"]


def test_what_was_cached_is_not_encoded_again(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.run(toy.asked())
    toy.write_recipe("words", {**WORDS, "task": {"pooling": "max"}})
    toy.write({**SUITE, "tasks": {"toy/words": TASK}})
    _, given = toy.run(toy.asked())
    assert given == ["encode toy with log_mel", "toy/words with log_mel, seed 0"]
    assert any("computed again, because of task.pooling" in line for line in toy.lines)


def test_a_manifest_that_was_changed_is_named(toy: ToySuite) -> None:
    asked = toy.asked()
    toy.run(asked)
    manifest = toy.path / "results" / "data" / "toy" / "train.jsonl.gz"
    shutil.copy(toy.path / "results" / "data" / "toy" / "dev.jsonl.gz", manifest)
    (cell,) = toy.plan(asked).cells
    assert (cell.state, cell.why) == ("stale", "the rows of train")
    toy.run(asked)
    assert "toy/words with log_mel, seed 0: computed again, because of the rows of train." in toy.lines
    assert toy.plan(asked).is_done


def test_an_interrupted_cell_goes_on(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it was, to what an unbroken run gives."""
    toy.run(toy.asked(), "unbroken")
    expected = toy.cell(name="unbroken")
    (toy.path / "cache" / "suites" / "cells" / f"{expected.key}.json").unlink()
    original, losses = UtteranceClassification.loss, [0]

    def loss(self: Any, batch: Any) -> Any:
        losses[0] += 1
        if losses[0] == 4:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    monkeypatch.setattr(UtteranceClassification, "loss", loss)
    with pytest.raises(KeyboardInterrupt):
        toy.run(toy.asked())
    assert toy.cell().state == "begun"
    (cell,) = toy.plan(toy.asked()).cells
    assert cell.state == "interrupted"
    after, _ = toy.run(toy.asked())
    assert after.is_done
    assert losses == [6]  # of six steps, four before and two after
    assert toy.cell().metrics == expected.metrics
    assert toy.cell().key == expected.key


def test_the_result_of_another_folder_is_taken_over(toy: ToySuite) -> None:
    asked = toy.asked(only=BOTH)
    toy.run(asked)
    expected = {task: toy.cell(task).metrics for task in BOTH}
    shutil.copytree(toy.path / "results" / "data", toy.path / "more" / "data")
    assert [cell.state for cell in toy.plan(asked, "more").cells] == ["elsewhere", "elsewhere"]
    after, given = toy.run(asked, "more")
    assert after.is_done
    assert given == []
    shutil.rmtree(toy.path / "results")
    assert {task: toy.cell(task, name="more").metrics for task in BOTH} == expected
    for line in (toy.path / "more" / "results.jsonl").read_text().splitlines():
        found = json.loads(line)
        assert (toy.path / "more" / found["predictions"]).is_file()


@pytest.mark.slow
def test_another_suite_reads_another_figure_of_a_result_that_is_there(toy: ToySuite) -> None:
    toy.run(toy.asked())
    shutil.copytree(toy.path / "results" / "data", toy.path / "more" / "data")
    toy.write({**SUITE, "version": 2, "tasks": {"toy/words": {**TASK, "metric": "uar"}}})
    after, given = toy.run(toy.asked(), "more")
    assert after.is_done
    assert given == []
    taken, before = toy.cell(name="more"), toy.cell()
    assert (taken.metric, taken.suite_version, before.metric) == ("uar", 2, "accuracy")
    assert taken.figure == before.metrics["uar"]


def test_an_upstream_that_fails_on_one_task_leaves_the_others(toy: ToySuite) -> None:
    """log_mel has no third layer."""
    deep = {**TASK, "settings": {"interface": "layer", "interface_options": {"index": 2}}}
    toy.write_recipe("deep", WORDS)
    toy.write({**SUITE, "tasks": {"toy/deep": deep, "toy/words": TASK}})
    after, _ = toy.run(toy.asked("log_mel", TERA, only=()))
    states = {(cell.task, cell.encoder.choice.name): cell.state for cell in after.cells}
    assert states == {
        ("toy/deep", "log_mel"): "failed",
        ("toy/words", "log_mel"): "done",
        ("toy/deep", "tera"): "done",
        ("toy/words", "tera"): "done",
    }
    failed = toy.cell("toy/deep")
    assert "layer" in failed.error
    assert failed.figure is None
    _, given = toy.run(toy.asked("log_mel", TERA, only=()))
    assert [name for name in given if not name.startswith("encode")] == ["toy/deep with log_mel, seed 0"]


@pytest.mark.slow
def test_a_fold_that_fails_is_named_and_the_others_stay(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiossl.experiments.suites import work

    original = work.train_fold

    def broken(config: Any, out: Path, fold: str, **more: Any) -> Any:
        if fold == "2":
            raise TrainingError("The loss is not finite.")
        return original(config, out, fold, **more)

    asked = toy.asked(only=["toy/folds"])
    monkeypatch.setattr(work, "train_fold", broken)
    toy.run(asked)
    assert toy.cell("toy/folds").error == "Of its folds, 2 could not be computed."
    monkeypatch.setattr(work, "train_fold", original)
    after, given = toy.run(asked)
    assert after.is_done
    assert [name for name in given if "fold 1" in name] == []


def test_two_runs_on_one_folder_at_once_are_one_sentence(toy: ToySuite) -> None:
    toy.results().path.mkdir()
    program = (
        "import sys, time\n"
        "from audiossl.core.locks import try_lock_file\n"
        "file = open(sys.argv[1], 'a')\n"
        "print(try_lock_file(file), flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(toy.results().path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with pytest.raises(TrainingError, match=r"^Another `suite run` works in .*results; wait for it, .*--shard 1/2"):
            toy.run(toy.asked())
        other.kill()
    after, _ = toy.run(toy.asked())
    assert after.is_done


def test_shares_are_parts_of_the_cells(toy: ToySuite) -> None:
    asked = toy.asked("log_mel", "log_mel,num_features=20")
    _, first = toy.run(asked, share=(0, 2))
    after, second = toy.run(asked, share=(1, 2))
    assert after.is_done
    assert not set(first) & set(second)


def test_recordings_that_cannot_be_prepared_are_named(toy: ToySuite) -> None:
    (toy.data / "toy" / "broken").touch()
    after, given = toy.run(toy.asked())
    assert given == []
    assert after.cells == [] or not after.is_done
    assert [line for line in toy.lines if "left out" in line] == [
        "toy/words: left out, because The recordings of toy cannot be prepared: the list of files is damaged."
    ]


def test_the_lock_says_what_was_asked_for_and_keeps_encoders(toy: ToySuite) -> None:
    folder = ResultsFolder(toy.path / "results")
    folder.path.mkdir()
    write_lock(toy.asked(over={"trainer": {"steps": 2}}), folder)
    write_lock(toy.asked("log_mel,num_features=20"), folder)
    said = read_json(folder.lock_path)
    assert list(said["encoders"]) == ["log_mel", "log_mel,num_features=20"]
    assert said["suite"]["tasks"]["toy/words"]["metric"] == "accuracy"
    assert said["settings"] == {}
    assert said["versions"]["audiossl"]


@pytest.mark.slow
def test_hidden_states_that_were_there_before_are_not_dropped(toy: ToySuite) -> None:
    toy.run(toy.asked("log_mel"))
    root = toy.path / "cache" / "features"
    before = {entry.key for entry in runner_module.entries_in(root)}
    assert before
    toy.write_recipe("words", {**WORDS, "trainer": {**WORDS["trainer"], "steps": 9}})
    toy.run(toy.asked("log_mel", TERA), drop=True)
    assert {entry.key for entry in runner_module.entries_in(root)} == before


@pytest.mark.slow
def test_hidden_states_are_dropped_when_they_are_asked_to_be(toy: ToySuite) -> None:
    toy.run(toy.asked("log_mel", TERA), drop=True)
    removed = [line for line in toy.lines if line.startswith("Removed")]
    assert len(removed) == 2
    assert runner_module.entries_in(toy.path / "cache" / "features") == [] or not list(
        (toy.path / "cache" / "features").glob("*/*.bin")
    )
    assert len(rows_of(toy.path / "results" / "data" / "toy" / "train.jsonl.gz")) == 12
