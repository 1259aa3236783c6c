"""The folder of a run: where things lie, of what kind it is, who may write it and what it says of itself."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ToyTask

from audiossl import load_run
from audiossl.core import config as configurations
from audiossl.core import files
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError, TrainingError
from audiossl.core.files import read_json, write_json
from audiossl.core.locks import try_lock_file
from audiossl.core.tensors import write_tensors
from audiossl.encoders.encoder_file import EncoderFile, read_encoder_file
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder, checkpoint_prefix
from audiossl.experiments.start import train

Make = Callable[..., Any]
PATHS = {
    "config_path": "config.yaml",
    "facts_path": "run.json",
    "log_path": "log.jsonl",
    "interface_path": "interface.json",
    "sweep_path": "sweep.json",
    "folds_path": "folds.json",
    "figures_path": "figures",
    "upstream_path": "upstream.safetensors",
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """One that is not there yet."""
    return RunFolder(tmp_path / "some" / "run")


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, the lock left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_lies_where() -> None:
    run = RunFolder("runs/a")
    assert (str(run), run.path) == ("runs/a", Path("runs/a"))
    assert {name: getattr(run, name) for name in PATHS} == {name: run.path / path for name, path in PATHS.items()}
    found = {value for value in vars(RunFolder) if value.endswith("_path")}
    assert found == PATHS.keys()
    assert run.checkpoint("best") == Path("runs/a/checkpoints/best.safetensors")
    assert run.member("lr0.1").log_path == Path("runs/a/lr0.1/log.jsonl")
    assert run.fold("v0").config_path == Path("runs/a/folds/v0/config.yaml")
    assert run.fold_manifests("v0") == Path("runs/a/manifests/v0")
    assert run.split("test").predictions == Path("runs/a/test/predictions.jsonl")
    assert run.split("test").metrics == Path("runs/a/test/metrics.json")
    assert run.split("test").name == "test"


def test_what_training_writes_lies_where_it_is_looked_for(run: Path) -> None:
    made = RunFolder(run)
    assert made.is_run and made.is_finished and made.can_resume
    assert made.kind == "single"
    assert made.config().trainer.average_best == 2
    assert made.config(["seed=5"]).seed == 5
    assert made.interface.name == "weighted_sum"
    assert sum(made.interface.layer_weights["layers"]) == pytest.approx(1)
    assert [line["step"] for line in made.log if line["split"] == "dev"] == [20, 40]
    assert made.evaluated == []
    for split in ("test", "dev"):
        made.split(split).path.mkdir()
        write_json(made.split(split).metrics, {})
    assert [each.name for each in made.evaluated] == ["dev", "test"]
    with pytest.raises(ConfigError, match="there is no key 'sede'. Did you mean seed"):
        made.config(["sede=5"])


@pytest.mark.parametrize(
    ("overrides", "pretrain", "kind"),
    [
        ([], False, "single"),
        (["finetune=lora"], False, "single"),
        (["folds=leave_one_out:speaker"], False, "cross_validation"),
        ([], True, "pretraining"),
    ],
)
def test_kinds(folder: RunFolder, overrides: list[str], pretrain: bool, kind: str) -> None:
    folder.path.mkdir(parents=True)
    folder.write_config(read_experiment(None, overrides, pretrain=pretrain))
    assert folder.kind == kind
    write_json(folder.sweep_path, {})
    assert folder.kind == "sweep"


def test_kinds_of_earlier_versions(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.config_path.write_text("downstream: asr\nupstream: tera_mini\nseed: 0\n")  # before there were folds
    assert folder.kind == "single"
    folder.config_path.write_text("downstream: asr\nfolds: k:5\nseed: 0\n")
    assert folder.kind == "cross_validation"
    folder.config_path.write_text("name: encoder\nobjective:\n  time: 0.1\nseed: 0\n")
    assert folder.kind == "pretraining"


def test_heads_of_earlier_versions_read_layers_as_they_are(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.config_path.write_text("downstream: asr\nupstream: tera_mini\nseed: 0\n")  # before layers were standardised
    assert not folder.config().standardize
    folder.write_config(read_experiment(None))
    assert folder.config().standardize


def test_what_is_no_run_is_one_sentence(folder: RunFolder) -> None:
    for _ in range(2):
        assert not (folder.is_run or folder.is_finished or folder.can_resume)
        with pytest.raises(AudiosslError) as found:
            _ = folder.kind
        assert str(found.value) == (
            f"{folder} is not a run folder (it has no config.yaml); give what `audiossl train` wrote."
        )
        folder.path.mkdir(parents=True, exist_ok=True)
    assert folder.log == []
    with pytest.raises(AudiosslError, match=r"interface\.json cannot be read"):
        _ = folder.interface


def test_nobody_else_writes_meanwhile(folder: RunFolder) -> None:
    with (
        folder.writing(resume=False, overwrite=False),
        pytest.raises(TrainingError, match=f"^Another process is training in {folder}; choose another .* --out"),
        RunFolder(folder.path).writing(resume=False, overwrite=True),
    ):
        pytest.fail("two write")
    with folder.writing(resume=False, overwrite=False):  # the lock goes with who held it
        assert folder.path.is_dir()


def test_a_failure_gives_the_lock_back(folder: RunFolder) -> None:
    with pytest.raises(KeyError), folder.writing(resume=False, overwrite=False):
        raise KeyError
    with folder.writing(resume=False, overwrite=False):
        pass


def test_a_run_is_gone_on_with_or_replaced_and_nothing_else_is_gone_on_with(folder: RunFolder) -> None:
    with (
        pytest.raises(TrainingError, match=f"^{folder} is not a run folder, so nothing can be .*; start without"),
        folder.writing(resume=True, overwrite=False),
    ):
        pytest.fail("there is no run")
    assert not folder.path.exists()
    folder.begin(Experiment(), RunFacts())
    folder.checkpoint("last").parent.mkdir()
    folder.checkpoint("last").touch()
    with (
        pytest.raises(TrainingError, match=f"^{folder} has a run already: go on with --resume {folder}, or replace"),
        folder.writing(resume=False, overwrite=False),
    ):
        pytest.fail("there is a run")
    for resume, overwrite in ((True, False), (False, True), (True, True)):
        with folder.writing(resume=resume, overwrite=overwrite):
            assert folder.is_run  # it stays until the new one begins


def test_of_several_processes_one_holds_the_lock(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with folder.writing(resume=False, overwrite=False):
        folder.begin(Experiment(), RunFacts())
        monkeypatch.setenv("RANK", "1")  # which comes when the main process has begun
        with RunFolder(folder.path).writing(resume=False, overwrite=False):
            pass


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
def test_a_second_process_in_the_same_folder_is_refused_and_harms_nothing(
    tmp_path: Path, experiment: Callable[..., Any], how: dict[str, bool]
) -> None:
    train(experiment("trainer.steps=2"), tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with open(tmp_path / ".lock", "w", encoding="utf-8") as lock:
        assert try_lock_file(lock)
        with pytest.raises(TrainingError, match="Another process is training in"):
            train(experiment("trainer.steps=4"), tmp_path, **how)
    assert sorted(tmp_path.rglob("*")) == before


@contextmanager
def written(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[list[str]]:
    """The JSON files and the configuration that are written below a folder, in order."""
    order: list[str] = []
    plain = files.atomic_write

    @contextmanager
    def atomic_write(path: Path) -> Iterator[Path]:
        if path.is_relative_to(folder):
            order.append(str(path.relative_to(folder)))
        with plain(path) as temporary:
            yield temporary

    with monkeypatch.context() as patch:
        for module in (files, configurations):
            patch.setattr(module, "atomic_write", atomic_write)
        yield order


def test_the_configuration_is_written_last(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with folder.writing(resume=False, overwrite=False), written(monkeypatch, folder.path) as order:
        folder.begin(Experiment(seed=3), RunFacts(processes=2), EncoderFile(upstream="tera"))
    assert order == ["run.json", "encoder.json", "config.yaml"]
    assert folder.config() == Experiment(seed=3)
    assert folder.facts.processes == 2
    assert read_encoder_file(folder.path) == EncoderFile(upstream="tera")


def test_a_finished_run_was_described_once(experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    with written(monkeypatch, out) as order:
        train(experiment("trainer.steps=2", f"cache.dir={tmp_path / 'features'}"), out)
    assert Counter(order) == Counter(["run.json", "encoder.json", "config.yaml", "interface.json"])
    assert order[-2:] == ["config.yaml", "interface.json"]
    assert RunFolder(out).facts.features == "pooled"


def leave_things(folder: Path) -> None:
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "metrics.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden").write_text("mine")


def test_a_run_that_never_had_a_checkpoint_is_in_nobodys_way(folder: RunFolder) -> None:
    folder.begin(Experiment(seed=1), RunFacts())
    with folder.writing(resume=False, overwrite=False):
        folder.begin(Experiment(seed=2), RunFacts())
    assert folder.config().seed == 2


def test_a_run_that_was_killed_in_its_first_write_is_in_nobodys_way(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    half = folder.path / ".run.json.1a4c3044.part"
    half.write_text('{"comm')
    with folder.writing(resume=False, overwrite=False):
        assert not half.exists()


def test_a_folder_that_is_no_run_keeps_its_files(folder: RunFolder) -> None:
    leave_things(folder.path)
    before = contents(folder.path)
    with folder.writing(resume=False, overwrite=True):
        folder.begin(Experiment(), RunFacts())
    after = contents(folder.path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"run.json", "config.yaml"}


def test_a_resumed_run_keeps_its_files(folder: RunFolder) -> None:
    leave_things(folder.path)
    folder.begin(Experiment(), RunFacts(), resume=True)
    with folder.writing(resume=True, overwrite=False):
        folder.begin(Experiment(seed=2), RunFacts(), resume=True)
    assert contents(folder.path).keys() >= {"test/metrics.json", "notes.txt", ".hidden"}
    assert folder.config().seed == 2


def test_facts_of_a_run_are_read_as_they_were_written(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/audiossl", "train", "a.yaml", "seed=1"])
    facts = RunFacts(num_parameters=9, num_trainable=0, features="pooled", folds=["a", "b"])
    write_json(folder.facts_path, facts.as_json())
    stored = read_json(folder.facts_path)
    assert folder.facts == facts
    assert stored["command"] == "audiossl train a.yaml seed=1"
    assert stored["num_trainable"] == 0  # nothing is a number
    assert stored["folder"] == os.getcwd()
    assert stored["versions"].keys() >= {"audiossl", "torch", "transformers"}
    assert stored.keys() == {
        "command",
        "created",
        "folder",
        "versions",
        "num_parameters",
        "num_trainable",
        "features",
        "folds",
    }
    assert stored["versions"]["torch"] == torch.__version__.split("+")[0]
    assert stored["created"].endswith("+00:00")


def test_facts_of_another_version_are_read_as_far_as_they_are_known(folder: RunFolder) -> None:
    write_json(folder.facts_path, {"upstream_fingerprint": "0bad", "gpus": ["H100"], "features": "off"})
    facts = folder.facts
    assert (facts.upstream_fingerprint, facts.features, facts.num_parameters) == ("0bad", "off", None)
    assert (facts.command, facts.created, facts.versions) == ("", "", {})  # not those of this process
    write_json(folder.facts_path, {})
    assert folder.facts == RunFacts(command="", created="", folder="", versions={})


@pytest.mark.parametrize("content", [None, "", '{"command": "audio', "[]"])
def test_damaged_facts_are_one_sentence(folder: RunFolder, content: str | None) -> None:
    folder.path.mkdir(parents=True)
    if content is not None:
        folder.facts_path.write_text(content)
    with pytest.raises(AudiosslError) as found:
        _ = folder.facts
    message = str(found.value)
    assert message.startswith(str(folder.facts_path))
    assert message.endswith("; train again with --overwrite.")
    assert "\n" not in message


def test_weights_are_restored_by_the_name_of_their_checkpoint(folder: RunFolder) -> None:
    tasks = {name: ToyTask(seed=seed) for seed, name in enumerate(("best", "last", "averaged"))}
    for name, task in tasks.items():
        tensors = {f"{checkpoint_prefix(name)}{key}": value for key, value in task.state_dict().items()}
        if name == "last":
            tensors["optimizer/0/step"] = torch.ones(1)
        write_tensors(folder.checkpoint(name), tensors, {})
    for name, task in tasks.items():
        other = ToyTask(seed=9)
        folder.restore(other, name)
        assert all(torch.equal(value, task.state_dict()[key]) for key, value in other.state_dict().items())
    with pytest.raises(CheckpointError, match=f"^{folder} has no checkpoint 'bset'; it has: averaged, best, last"):
        folder.restore(ToyTask(), "bset")
    with pytest.raises(CheckpointError, match="has no checkpoint 'best'; it has: none"):
        RunFolder(folder.path / "empty").restore(ToyTask(), "best")
    write_tensors(folder.checkpoint("best"), {"linear.weight": torch.zeros(3, 4)}, {})
    with pytest.raises(CheckpointError, match=r"does not fit ToyTask\. missing: linear\.bias"):
        folder.restore(ToyTask(), "best")


def test_checkpoints_by_name(run: Path) -> None:
    heads = {name: load_run(run, name).task.trainable_state() for name in ("best", "last", "averaged", "kept-20")}
    assert not torch.equal(heads["last"]["classifier.weight"], heads["kept-20"]["classifier.weight"])
    mean = (heads["last"]["classifier.weight"] + heads["kept-20"]["classifier.weight"]) / 2
    torch.testing.assert_close(heads["averaged"]["classifier.weight"], mean)
    with pytest.raises(CheckpointError, match="has no checkpoint 'bset'; it has: averaged, best, kept-20"):
        load_run(run, "bset")


def test_an_encoder_that_is_there_is_not_replaced(folder: RunFolder) -> None:
    folder.add_encoder(EncoderFile(upstream="tera"))
    folder.add_encoder(EncoderFile(upstream="log_mel"))
    assert read_encoder_file(folder.path).upstream == "tera"


def test_the_weights_of_the_layers_are_read_as_they_were_written(folder: RunFolder) -> None:
    weights = LayerWeights("weighted_sum", {"layers": [0.25, 0.75]})
    folder.write_interface(weights)
    assert folder.is_finished
    assert folder.interface == weights
    folder.interface_path.write_text(json.dumps({"name": "pca"}))
    assert folder.interface == LayerWeights("pca", {})
