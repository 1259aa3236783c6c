"""What a report reads of a run folder, whole or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.reports import evaluate, guesses, make_run, read_page

from audiossl.core.errors import AudiosslError
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord
from audiossl.report import read_run, read_runs
from audiossl.report.runs import distinct_names


def test_cut_off_last_log_line_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    whole = read_run(run).series("train", "loss")
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 61, "spl')
    read = read_run(run)
    assert read.series("train", "loss") == whole
    assert any("cut-off last line" in note for note in read.notes)


def test_damaged_files_are_named(two_runs: list[Path]) -> None:
    log = two_runs[0] / "log.jsonl"
    log.write_text("oops\n" + log.read_text())
    with pytest.raises(AudiosslError, match=r"log\.jsonl, line 1 is not JSON"):
        read_run(two_runs[0])
    (two_runs[1] / "test" / "metrics.json").write_text("{")
    with pytest.raises(AudiosslError, match=r"metrics\.json is not readable JSON"):
        read_run(two_runs[1])


@pytest.mark.parametrize("metric", [{"low": 0.1}, {"value": "much"}, None])
def test_metric_without_a_value_is_named(two_runs: list[Path], metric: object) -> None:
    path = two_runs[0] / "test" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {"accuracy": metric}}))
    with pytest.raises(AudiosslError, match=r"metrics\.json.* is damaged: '(accuracy|value|metrics)' is "):
        read_run(two_runs[0])


def test_test_split_stands_for_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    evaluate(run, guesses(6, 0), split="dev")
    assert read_run(run).best_evaluation == read_run(run).evaluations["dev"]
    evaluate(run, guesses(6, 6), split="test")
    assert list(read_run(run).evaluations) == ["test", "dev"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x"], ["x"]),
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x", "b/x"], ["a/x", "b/x"]),
        (["x", "x"], ["x (1)", "x (2)"]),
    ],
)
def test_names_tell_runs_apart(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(path) for path in paths]) == names


def test_a_member_of_a_sweep_is_called_by_its_run_too(tmp_path: Path) -> None:
    members = [MemberRecord(f"lr{rate}", {"lr": rate}, "finished", 0.5) for rate in (0.1, 0.01)]
    for member in members:
        evaluate(make_run(tmp_path / "tera" / member.name), guesses(6, 0))
    SweepRecord("accuracy", "max", members).write(tmp_path / "tera")
    evaluate(make_run(tmp_path / "alone"), guesses(6, 0))
    assert [run.name for run in read_runs([tmp_path / "tera", tmp_path / "alone"])] == ["tera/lr0.01", "alone"]
    page = read_page([tmp_path / "tera"], tmp_path / "out")
    assert all(text in page.texts for text in ("tera: accuracy (%) on dev", "lr0.1", "lr0.01", "chosen"))
    assert "The rates 0.01 and 0.1 are equal on dev: the smallest is taken." in page.texts
