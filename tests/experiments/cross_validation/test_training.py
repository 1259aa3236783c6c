"""Cross-validation: what each fold trains on, and how it resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiossl import load_run
from audiossl.core.config import structured
from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.experiments.config import read_settings
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.cross_validation.training import mean_log
from audiossl.experiments.start import train
from audiossl.training.trainer import Interrupted, Trainer

Make = Callable[..., Any]


def test_the_mean_of_logs_has_the_lines_of_all() -> None:
    first = [{"step": 1, "split": "train", "loss": 1.0, "finite": True}, {"step": 2, "split": "train", "loss": 2.0}]
    second = [{"step": 1, "split": "train", "loss": 3.0, "finite": True}]
    assert mean_log([first, second]) == [{"step": 1, "split": "train", "loss": 2.0}]


def test_each_fold_is_an_ordinary_run_of_its_rows(run: Path) -> None:
    stored = json.loads((run / "folds.json").read_text())
    assert list(stored) == ["v0", "v1", "v2"]
    for name, parts in stored.items():
        for part, names in parts.items():
            assert [cut.id for cut in read_manifest(run / "manifests" / name / f"{part}.jsonl.gz")] == names
        one = load_run(run / "folds" / name, device="cpu")
        assert not isinstance(one, FoldedRun)
        assert not one.config.folds.by
    weights = json.loads((run / "interface.json").read_text())["layer_weights"]["layers"]
    each = [
        json.loads((run / "folds" / name / "interface.json").read_text())["layer_weights"]["layers"] for name in stored
    ]
    assert weights == pytest.approx(np.mean(each, axis=0))
    assert json.loads((run / "run.json").read_text())["folds"] == list(stored)


def test_a_class_that_no_other_fold_has_is_named_before_any_training(
    folded: Make, tmp_path: Path, voices: Path
) -> None:
    cuts = list(read_manifest(voices / "all.jsonl.gz"))
    for cut in cuts:
        if cut.supervisions[0].speaker == "v2" and cut.supervisions[0].custom["label"] == "noise":
            cut.supervisions[0].custom["label"] = "rare"
    write_manifests({"all": cuts}, tmp_path)
    with pytest.raises(LabelError, match=r"of the (dev|test) part of fold 'v\d' were not seen in training: 'rare'"):
        train(folded(f"data.dir={tmp_path}"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
    for cut in cuts:
        cut.supervisions[0].custom["label"] = "a" if cut.supervisions[0].speaker != "v0" else "b"
    write_manifests({"all": cuts}, tmp_path)
    with pytest.raises(LabelError, match="^Fold 'v0': A classifier needs at least two labels"):
        train(folded(f"data.dir={tmp_path}"), tmp_path / "run")


def test_folds_need_a_manifest_of_all_rows(folded: Make, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"There is no .*all\.jsonl\.gz to draw .*has dev.*--column split="):
        train(folded(f"data.dir={corpus}"), tmp_path / "run")
    train(folded(f"data.dir={corpus}", "data.all=train.jsonl.gz", "folds=k:2", "folds.group=''"), tmp_path / "run")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name, one in load_run(run, "last", "cpu").folds.items()
        for key, value in one.task.trainable_state().items()
    }


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_stopped_cross_validation_goes_on_in_the_fold_that_is_unfinished(
    folded: Make, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out, stop_in = folded("trainer.average_best=2"), tmp_path / "stopped", tmp_path / "stopped" / "folds" / "v1"
    plain = Trainer.steps

    def stopping(self: Trainer, resume: bool = False) -> Iterator[float | None]:
        for loss in plain(self, resume):
            if self.folder == stop_in and self.state.step == 6:
                self.stop()
            yield loss

    monkeypatch.setattr(Trainer, "steps", stopping)
    with pytest.raises(Interrupted):
        train(config, out)
    monkeypatch.setattr(Trainer, "steps", plain)
    assert sorted(path.name for path in (out / "folds").iterdir()) == ["v0", "v1"]
    finished = (out / "folds" / "v0" / "checkpoints" / "last.safetensors").stat().st_mtime_ns
    train(structured(type(config), read_settings(out / "config.yaml")), out, resume=True)
    assert (out / "folds" / "v0" / "checkpoints" / "last.safetensors").stat().st_mtime_ns == finished
    assert same(weights_of(out), weights_of(run))
    assert (out / "log.jsonl").read_text() == (run / "log.jsonl").read_text()


def test_a_finished_cross_validation_can_be_given_more_steps(folded: Make, run: Path, tmp_path: Path) -> None:
    longer = train(folded("trainer.average_best=2", "trainer.steps=8"), tmp_path / "longer")
    train(folded("trainer.average_best=2"), longer, resume=True)
    assert same(weights_of(longer), weights_of(run))
    assert load_run(longer).config.trainer.steps == 12


def test_a_new_start_leaves_nothing_of_the_old_one(folded: Make, run: Path) -> None:
    load_run(run, device="cpu").evaluate()
    train(folded("folds=k:3", "trainer.steps=2"), run, overwrite=True)
    assert sorted(path.name for path in (run / "folds").iterdir()) == ["1", "2", "3"]
    assert not (run / "test").exists()


def test_the_encoder_runs_once_for_all_folds(
    folded: Make, toy_upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toys.core import ToyUpstream

    encoded = []
    plain = ToyUpstream.encode

    def counting(self: ToyUpstream, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        encoded.append(len(wavs))
        return plain(self, wavs, lengths, last)

    monkeypatch.setattr(ToyUpstream, "encode", counting)
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    run = train(folded("features=auto"), tmp_path / "run")
    load_run(run, device="cpu").evaluate()
    assert sum(encoded) == 18
