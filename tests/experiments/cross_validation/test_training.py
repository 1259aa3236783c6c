"""Cross-validation: what each fold trains on, and how it resumes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiossl import load_run
from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError, LabelError, ManifestError, TrainingError
from audiossl.core.files import read_jsonl
from audiossl.core.tensors import read_tensors
from audiossl.core.terminal import Interrupted
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.config import read_settings
from audiossl.experiments.cross_validation.run import FoldedRun, fold_names
from audiossl.experiments.cross_validation.training import (
    begin_folds,
    finish_folds,
    fold_config,
    mean_log,
    train_fold,
)
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import best_member
from audiossl.training.trainer import Trainer

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


SEARCH = "sweep.lr=[0.1,0.001]", "sweep.interface=[weighted_sum,{name: layer, index: 1}]", "sweep.stack=off"


def files_of(folder: Path) -> dict[str, Any]:
    """Logs, weights and figures on dev of all runs below a folder."""
    wanted = ("log.jsonl", "interface.json", "sweep.json", "last.safetensors", "best.safetensors")
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.name in wanted}
    return {name: _read(path) for name, path in found.items()}


def _read(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return path.read_text()
    tensors, described = read_tensors(path)
    return described, {name: tensor.tolist() for name, tensor in tensors.items()}


@pytest.fixture(scope="session")
def searches() -> dict[str, Path]:
    return {}


@pytest.fixture
def search(folded: Make, tmp_path: Path, searches: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a cross-validation with a sweep in each fold, which is trained once."""
    if not searches:
        searches["run"] = train(folded(*SEARCH), tmp_path_factory.mktemp("searches") / "run")
    return Path(shutil.copytree(searches["run"], tmp_path / "search"))


def test_each_fold_is_searched_by_its_own_dev_part(folded: Make, search: Path, tmp_path: Path) -> None:
    names = fold_names(search)
    for name in names:
        alone = train(fold_config(folded(*SEARCH), search, name), tmp_path / name)
        assert files_of(alone) == files_of(search / "folds" / name)
    loaded = load_run(search, device="cpu")
    assert isinstance(loaded, FoldedRun)
    for name, one in loaded.folds.items():
        assert one.folder == best_member(search / "folds" / name)
        cuts = read_manifest(search / "manifests" / name / "dev.jsonl.gz")
        right = [row["predicted"] == row["target"] for row in one.predict(cuts)]
        assert np.mean(right) == pytest.approx(loaded.chosen[name].dev, abs=1e-6)


def test_what_was_chosen_in_each_fold_is_in_the_result(search: Path) -> None:
    """The folds are made to choose different members."""
    values = []
    for place, name in enumerate(fold_names(search)):
        path = search / "folds" / name / "sweep.json"
        stored = json.loads(path.read_text())
        for member in stored["members"]:
            member["dev"] = 0.1
        stored["members"][place]["dev"] = 0.9
        values.append(stored["members"][place]["values"])
        path.write_text(json.dumps(stored))
    config = load_run(search, device="cpu").config
    finish_folds(config, search)
    assert json.loads((search / "interface.json").read_text()) == {
        "name": "weighted_sum, layer",
        "layer_weights": {},
    }
    metrics = load_run(search, device="cpu").evaluate()
    facts = json.loads((search / "test" / "metrics.json").read_text())
    assert facts["interface"] == "weighted_sum, layer"
    assert [chosen["values"] for chosen in facts["chosen"].values()] == values
    table = facts["tables"][0]
    assert table["header"][:4] == ["fold", "items", "interface", "learning rate"]
    assert [line[2:4] for line in table["rows"]] == [
        ["weighted_sum", "0.1"],
        ["weighted_sum", "0.001"],
        ["layer_index1", "0.1"],
        ["", ""],
    ]
    rows = read_jsonl(search / "test" / "predictions.jsonl")
    assert metrics["accuracy"].value == pytest.approx(np.mean([row["predicted"] == row["target"] for row in rows]))
    assert load_upstream(str(search / "folds" / "v0")).num_layers == 3


def test_a_search_that_was_stopped_goes_on_exactly(
    folded: Make, search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = folded(*SEARCH), tmp_path / "stopped"
    plain = Trainer.steps

    def stopping(self: Trainer, resume: bool = False) -> Iterator[float | None]:
        for loss in plain(self, resume):
            if self.folder.parent == out / "folds" / "v1" and self.state.step == 6:
                self.stop()
            yield loss

    monkeypatch.setattr(Trainer, "steps", stopping)
    with pytest.raises(Interrupted):
        train(config, out)
    monkeypatch.setattr(Trainer, "steps", plain)
    with pytest.raises(AudiosslError, match=r"The fold 'v1' of .* is not trained; go on with `audiossl train --resume"):
        load_run(out)
    finished = {path: path.stat().st_mtime_ns for path in (out / "folds" / "v0").rglob("*.safetensors")}
    train(structured(type(config), read_settings(out / "config.yaml")), out, resume=True)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert files_of(out) == files_of(search)


def test_folds_that_are_trained_apart_are_those_of_one_call(folded: Make, search: Path, tmp_path: Path) -> None:
    config, out = folded(*SEARCH), tmp_path / "apart"
    names = begin_folds(config, out)
    assert not (out / "folds").exists()
    for name in reversed(names):
        if name == "v0":
            with pytest.raises(TrainingError, match="The fold 'v0'"):
                finish_folds(config, out)
        assert train_fold(config, out, name, resume=True) == out / "folds" / name
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    for name in begin_folds(config, out, resume=True):
        train_fold(config, out, name, resume=True)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    finish_folds(config, out)
    assert files_of(out) == files_of(search)


def test_a_cross_validation_does_not_become_a_search_nor_a_search_one_without(
    folded: Make, run: Path, search: Path
) -> None:
    with pytest.raises(TrainingError, match=r"were begun with no sweep in each; leave the settings sweep\.\*"):
        train(folded(*SEARCH), run, resume=True)
    with pytest.raises(TrainingError, match="were begun with a sweep in each"):
        train(folded(), search, resume=True)
    train(folded("trainer.steps=2"), search, overwrite=True)
    assert not list(search.rglob("sweep.json"))
    assert not list((search / "folds").glob("*/lr*"))
