"""What a report reads of a run folder, whole or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.reports import PIXEL, evaluate, guesses, make_run, read_page

from audiossl.core.errors import AudiosslError, TrainingError
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


def test_only_pictures_of_the_run_itself_are_shown(two_runs: list[Path], tmp_path: Path) -> None:
    run = two_runs[0]
    secret = tmp_path / "secret.png"
    secret.write_bytes(PIXEL)
    (run / "figures").mkdir()
    (run / "figures" / "own.png").write_bytes(PIXEL)
    (run / "figures" / "link.png").symlink_to(secret)
    (run / "figures" / "passwd.png").write_text("root:x:0:0:root")
    (run / "figures" / "folder.png").mkdir()
    (run / "test" / "link.svg").symlink_to("/etc/passwd")
    read = read_run(run)
    assert [path.name for path in read.pictures] == ["own.png"]
    assert read.evaluations["test"].pictures == []
    left_out = {"link.png", "passwd.png", "folder.png", "link.svg"}
    assert {
        name for name in left_out if f"has a {name} that is no picture of its own, which is left out" in read.notes
    } == left_out


@pytest.mark.parametrize("name", ["config.yaml", "log.jsonl", "run.json", "figures"])
def test_a_part_that_is_a_link_is_not_read(two_runs: list[Path], tmp_path: Path, name: str) -> None:
    (two_runs[0] / name).rename(tmp_path / name) if (two_runs[0] / name).exists() else (tmp_path / name).mkdir()
    (two_runs[0] / name).symlink_to(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name} is a link, which may lead anywhere"):
        read_run(two_runs[0])


def test_an_evaluation_elsewhere_is_not_of_the_run(two_runs: list[Path], tmp_path: Path) -> None:
    (two_runs[0] / "test").rename(tmp_path / "test")
    (two_runs[0] / "test").symlink_to(tmp_path / "test")
    assert read_run(two_runs[0]).evaluations == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", []),
        ("run.json", {"command": "", "versions": []}),
        ("run.json", {"command": "", "versions": {}, "num_parameters": "many"}),
        ("interface.json", {"name": "x", "layer_weights": {"layers": ["x"]}}),
        ("interface.json", {"name": ["x"]}),
        ("log.jsonl", [1]),
        ("log.jsonl", {"step": "1", "split": "train"}),
        ("log.jsonl", {"split": "train"}),
        ("test/metrics.json", []),
        ("test/metrics.json", {"metrics": []}),
        ("test/metrics.json", {"metrics": {}, "num_items": "many"}),
        ("test/metrics.json", {"metrics": {}, "confusion": [[1, 2], [3]]}),
        ("test/metrics.json", {"metrics": {}, "tables": [{"rows": [1]}]}),
        ("test/predictions.jsonl", 3),
        ("test/predictions.jsonl", {"id": "a", "target": "b", "predicted": "c", "probability": "much"}),
        ("test/predictions.jsonl", {"id": "a", "target": "b", "predicted": "c", "audio": "a.wav"}),
    ],
)
def test_values_of_another_type_are_one_sentence_with_the_file(
    two_runs: list[Path], name: str, content: object
) -> None:
    (two_runs[0] / name).write_text(json.dumps(content) + "\n")
    with pytest.raises(AudiosslError, match=name.rpartition("/")[2]) as caught:
        read_run(two_runs[0])
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_one_sentence(two_runs: list[Path]) -> None:
    (two_runs[0] / "log.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(AudiosslError, match=r"log\.jsonl is damaged: it is not UTF-8"):
        read_run(two_runs[0])
