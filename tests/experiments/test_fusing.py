"""Runs as one: which predictions are read, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import write_jsonl
from audiossl.experiments.fusing import fuse_runs, write_fused


def run_of(folder: Path, task: str = "speaker_verification") -> Path:
    """A run as `fuse_runs` sees it: settings and the predictions of two splits."""
    folder.mkdir()
    (folder / "config.yaml").write_text(f"downstream: {task}\nupstream: log_mel\nseed: 0\n")
    (folder / "run.json").write_text("{}")
    for split in ("dev", "test"):
        rows = [
            {
                "id": f"t{number}",
                "enrol": f"e{number}",
                "test": f"x{number}",
                "target": int(number % 3 == 0),
                "score": float((number % 3 == 0) + (number * 7 % 5) / 4),
                "speaker_enrol": f"s{number % 7}",
                "speaker_test": f"s{number % 7 if number % 3 == 0 else (number + 1) % 7}",
            }
            for number in range(42)
        ]
        write_jsonl(folder / split / "predictions.jsonl", rows)
        (folder / split / "metrics.json").write_text("{}")
    return folder


def test_two_runs_become_one_which_is_written(tmp_path: Path) -> None:
    first, second = run_of(tmp_path / "a"), run_of(tmp_path / "b")
    fused = fuse_runs([first, second])
    assert len(fused.differences) == 2
    assert fused.differences[0].value == pytest.approx(0.0)
    write_fused(tmp_path / "out", [first, second], "test", fused)
    told = json.loads((tmp_path / "out" / "test" / "metrics.json").read_text())
    assert told["runs"] == [str(first), str(second)]
    assert told["metrics"]["eer"]["value"] == fused.metrics["eer"].value
    assert len((tmp_path / "out" / "test" / "predictions.jsonl").read_text().splitlines()) == 42


def test_what_cannot_be_fused_is_said(tmp_path: Path) -> None:
    first, other = run_of(tmp_path / "a"), run_of(tmp_path / "b", "emotion")
    with pytest.raises(ConfigError, match="two or more runs, each of them once"):
        fuse_runs([first, first])
    with pytest.raises(ConfigError, match=r"different tasks \(emotion, speaker_verification\)"):
        fuse_runs([first, other])
    with pytest.raises(ConfigError, match="fitted on dev"):
        fuse_runs([first, other], "dev")
    with pytest.raises(ConfigError, match="--weights 'best': choose dev or equal"):
        fuse_runs([first, other], weights="best")
    (other / "config.yaml").write_text((first / "config.yaml").read_text())
    (other / "dev" / "predictions.jsonl").unlink()
    with pytest.raises(AudiosslError, match=r"no predictions of dev; .*audiossl evaluate .* --split dev"):
        fuse_runs([first, other])


def test_what_is_no_run_of_a_task_is_named(tmp_path: Path) -> None:
    run, other = run_of(tmp_path / "a"), tmp_path / "b"
    with pytest.raises(AudiosslError, match=r"b is not a run folder \(it has no config\.yaml\)"):
        fuse_runs([run, other])
    other.mkdir()
    (other / "config.yaml").write_text("upstream: tera\nobjective: tera\nseed: 0\n")
    with pytest.raises(ConfigError, match="b has no predictions of its own; give runs of a task"):
        fuse_runs([run, other])


def test_a_cross_validation_has_no_dev_of_its_own(tmp_path: Path) -> None:
    first, second = run_of(tmp_path / "a", "emotion"), run_of(tmp_path / "b", "emotion")
    settings = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(settings.replace("seed: 0", "folds: {by: k:3}\nseed: 0"))
    with pytest.raises(ConfigError, match="a is a cross-validation, each fold of which has a dev part of its own"):
        fuse_runs([first, second])
    (first / "test" / "metrics.json").write_text('{"labels": []}')
    with pytest.raises(AudiosslError, match="do not say which labels"):
        fuse_runs([first, second], weights="equal")
