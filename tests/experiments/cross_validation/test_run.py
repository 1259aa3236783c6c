"""The trained runs of all folds as one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from toys.core import LABELS

from audiossl import load_run
from audiossl.core.errors import AudiosslError, ConfigError, TrainingError
from audiossl.core.files import read_jsonl
from audiossl.data.manifests import read_manifest
from audiossl.experiments.cross_validation.run import fold_names
from audiossl.experiments.start import train
from audiossl.report import build_report

Make = Callable[..., Any]


def test_all_held_out_rows_are_one_result(run: Path, voices: Path, tmp_path: Path) -> None:
    metrics = load_run(run, device="cpu").evaluate()
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert [each["id"] for each in rows] == sorted(cut.id for cut in read_manifest(voices / "all.jsonl.gz"))
    assert all(each["fold"] == each["speaker"] for each in rows)
    assert all(Path(each["audio"]["path"]).is_file() for each in rows)
    assert (run / "test" / "confusion.png").is_file()
    targets, predicted = [each["target"] for each in rows], [each["predicted"] for each in rows]
    assert metrics["accuracy"].value == pytest.approx(accuracy_score(targets, predicted))
    assert metrics["accuracy"].value > 0.5
    by_fold = {
        name: accuracy_score(
            [each["target"] for each in rows if each["fold"] == name],
            [each["predicted"] for each in rows if each["fold"] == name],
        )
        for name in ("v0", "v1", "v2")
    }
    assert {name: found["accuracy"] for name, found in facts["folds"].items()} == pytest.approx(by_fold)
    assert facts["mean_of_folds"]["accuracy"] == pytest.approx(np.mean(list(by_fold.values())))
    table = facts["tables"][0]
    assert [line[:2] for line in table["rows"]] == [*([name, 6] for name in by_fold), ["mean", 18]]
    page = Path(build_report([run], tmp_path / "report")).read_text(encoding="utf-8")
    assert "Folds" in page
    assert "has no log.jsonl" not in page


def test_folds_predict_together_by_their_mean(run: Path, voices: Path) -> None:
    cuts = read_manifest(voices / "all.jsonl.gz")
    loaded = load_run(run, device="cpu")
    together = loaded.predict(cuts)
    alone = [{each["id"]: each for each in one.predict(cuts)} for one in loaded.folds.values()]
    for each in together:
        mean = np.mean([found[each["id"]]["scores"] for found in alone], axis=0)
        assert each["scores"] == pytest.approx(mean, abs=2e-6)
        assert each["predicted"] == LABELS[int(mean.argmax())]
        assert each["probability"] == max(each["scores"])


def test_which_weights_are_evaluated_is_passed_on(run: Path) -> None:
    states = {name: load_run(run, name, "cpu").folds["v1"].task.trainable_state() for name in ("last", "averaged")}
    assert not torch.equal(states["last"]["classifier.weight"], states["averaged"]["classifier.weight"])


def test_a_task_without_a_way_to_unite_folds_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiossl.training.downstream import Downstream

    loaded = load_run(run, device="cpu")
    monkeypatch.setattr(type(loaded.task), "ensemble", Downstream.ensemble)
    with pytest.raises(AudiosslError, match="predict with one of them, a folder below RUN/folds"):
        loaded.predict(read_manifest(run / "manifests" / "v0" / "test.jsonl.gz"))


def test_what_a_cross_validation_cannot_do_is_one_sentence(run: Path, folded: Make, audiossl: Make) -> None:
    with pytest.raises(AudiosslError, match=r"evaluated on the rows that its folds hold out; leave --split dev out"):
        load_run(run).evaluate("dev")
    with pytest.raises(ConfigError, match=r"data\.dir cannot be changed"):
        load_run(run, overrides=["data.dir=elsewhere"])
    with pytest.raises(TrainingError, match=r"drawn with other settings \(folds=leave_one_out:speaker\)"):
        train(folded("folds=k:2", "trainer.average_best=2"), run, resume=True)
    with pytest.raises(TrainingError, match="has a run already"):
        train(folded(), run)
    (run / "folds" / "v2" / "interface.json").unlink()
    done = audiossl("evaluate", run)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "The fold 'v2'" in done.err


def test_a_moved_run_is_evaluated_where_it_is(run: Path, tmp_path: Path) -> None:
    moved = shutil.move(run, tmp_path / "moved")
    assert load_run(moved, device="cpu").evaluate()["accuracy"].value > 0.5
    assert (tmp_path / "moved" / "folds" / "v0" / "test" / "metrics.json").is_file()


@pytest.mark.parametrize("content", [[], {"v0": []}, {"v0": {"train": "a"}}, {"../elsewhere": {}}, {"..": {}}])
def test_folds_that_are_none_are_one_sentence(tmp_path: Path, content: Any) -> None:
    (tmp_path / "folds.json").write_text(json.dumps(content))
    with pytest.raises(AudiosslError, match=r"folds\.json cannot be read; train again with --overwrite"):
        fold_names(tmp_path)
