"""Encoders by name, by path and by reference, among them those that training left in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ROOT, ToyUpstream, TrainedToy
from toys.engines import TINY
from toys.tera import TERA, TERA_SIZES, original, tiny

from audiossl import UPSTREAMS, load_run, load_upstream
from audiossl.core.cards import UpstreamCard
from audiossl.core.errors import CheckpointError, ConfigError, UnknownNameError
from audiossl.core.files import read_json, write_json
from audiossl.core.registry import RegistryEntry
from audiossl.core.tensors import fingerprint, write_tensors
from audiossl.encoders.encoder_file import EncoderFile, read_encoder_file
from audiossl.encoders.finetuning import merge_lora
from audiossl.encoders.loading import differences
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, read_sweep
from audiossl.experiments.training import pretrain

Make = Callable[..., Experiment]
SHORT = ["trainer.steps=4", "trainer.eval_every=2", "trainer.average_best=2", "trainer.lr=0.02", "data.batch_size=6"]
MODES = {
    "none": [],
    "all": ["finetune=all"],
    "top_k": ["finetune=top_k", "finetune.top_k=1"],
    "norm_and_bias": ["finetune=norm_and_bias"],
    "lora": ["finetune=lora", "finetune.lora_rank=2"],
}


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a short run on a tiny TERA, by its settings. Each is trained once, and not to be changed."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def run(*overrides: str) -> Path:
        config = read_experiment(None, [f"data.dir={corpus}", *SHORT, *TERA, *overrides])
        return train(config, folder / f"run{len(list(folder.iterdir()))}")

    return run


@pytest.fixture
def tera(experiment: Make) -> Make:
    return lambda *overrides: experiment(*TERA, "trainer.steps=2", *overrides)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_upstream(tiny(), tmp_path / "upstream.safetensors", {"name": "mine"})
    return tmp_path / "upstream.safetensors"


def predicting(run: Path, checkpoint: str = "") -> str:
    """The fingerprint of the encoder under the head of a run, LoRA merged."""
    return fingerprint(merge_lora(load_run(run, checkpoint, "cpu").task.upstream))


def of_pretraining(corpus: Path, *overrides: str) -> Any:
    sizes = [*TERA_SIZES, "trainer.steps=2", "trainer.eval_every=0", "data.batch_size=6"]
    return read_experiment(None, [f"data.dir={corpus}", *sizes, *overrides], pretrain=True)


def test_a_folder_stands_for_the_upstream_in_it(saved: Path) -> None:
    assert load_upstream(str(saved.parent)).widths == (16, 16, 16)


def test_a_safetensors_file_of_somebody_else_is_not_an_upstream(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="is no checkpoint of a known family .*it holds: a"):
        load_upstream(str(tmp_path / "x.safetensors"))


def test_a_file_cannot_name_code_to_import(tmp_path: Path) -> None:
    described = {"upstream": "os:system", "options": {"command": "touch here"}}
    write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, described)
    with pytest.raises(UnknownNameError, match="There is no upstream named 'os:system'"):
        load_upstream(str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(("kind", "drawn"), [(ToyUpstream, True), (TrainedToy, False)])
def test_a_plug_in_without_a_card_is_never_silently_random(
    monkeypatch: pytest.MonkeyPatch, kind: type[ToyUpstream], drawn: bool
) -> None:
    """What its constructor loads, it may give. What it draws is given to who asks."""
    monkeypatch.setitem(UPSTREAMS._decorated, "mine", RegistryEntry(UpstreamCard("mine", ""), "me", kind))
    if drawn:
        with pytest.raises(CheckpointError, match="'mine' names an architecture without weights"):
            load_upstream("mine")
    else:
        assert fingerprint(load_upstream("mine")) == fingerprint(load_upstream("mine", seed=1))
    load_upstream("mine", weights="random")


def test_random_weights_are_only_given_where_they_are_asked_for() -> None:
    with pytest.raises(CheckpointError, match="names an architecture without weights"):
        load_upstream("tera")
    with pytest.raises(ConfigError, match="choose 'pretrained' or 'random'"):
        load_upstream("tera", weights="none")


def test_sources_that_are_unknown_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown source 'espnet'"):
        load_upstream("espnet:x.pth")
    with pytest.raises(CheckpointError, match="there is no file or folder"):
        load_upstream(f"s3prl:{tmp_path / 'none.ckpt'}")
    torch.save(original(), tmp_path / "states.ckpt")
    with pytest.raises(ConfigError, match="there is no key 'widht'"):
        load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}", widht=3)


def test_what_a_file_contradicts_of_its_card_is_listed() -> None:
    expected = {"width": 16, "kernels": [10, 3], "not_said": 1}
    assert differences({"width": 16, "kernels": (10, 3)}, expected) == []
    assert differences({"width": 8, "kernels": [10]}, expected) == [
        "width is 8, not 16",
        "kernels is [10], not [10, 3]",
    ]


WAYS = [
    *((mode, "best") for mode in MODES),
    *((mode, name) for mode in ("all", "lora") for name in ("last", "averaged")),
]


@pytest.mark.parametrize(("mode", "checkpoint"), WAYS)
def test_the_encoder_of_a_run_is_that_under_its_head(trained: Callable[..., Path], mode: str, checkpoint: str) -> None:
    run = trained(*MODES[mode], f"checkpoint={checkpoint}")
    found = load_upstream(str(run))
    assert fingerprint(found) == predicting(run) == predicting(run, checkpoint)
    assert (fingerprint(found) == fingerprint(tiny())) == (mode == "none")
    assert found.state_dict().keys() == tiny().state_dict().keys()
    assert not found.training
    assert all(parameter.requires_grad for parameter in found.parameters())
    if mode != "none":
        assert predicting(run, "averaged") != predicting(run, "last")


@pytest.mark.parametrize("mode", ["all", "lora"])
def test_layers_that_the_head_does_not_read_are_those_of_the_pretrained_encoder(
    trained: Callable[..., Path], mode: str
) -> None:
    run = trained(*MODES[mode], "interface=layer", "interface_options.index=1")
    found, plain = load_upstream(str(run)).state_dict(), tiny().state_dict()
    assert fingerprint(load_upstream(str(run))) == predicting(run)
    changed = {name.split(".")[1] for name in plain if not torch.equal(found[name], plain[name]) and "blocks" in name}
    assert changed == {"0"}


def test_the_encoder_of_a_sweep_is_that_of_its_best_member(trained: Callable[..., Path]) -> None:
    sweep = trained("finetune=all", "sweep.lr=[0.02,1e-6]")
    best = read_sweep(sweep).best()
    assert best is not None
    found = {name: fingerprint(load_upstream(str(sweep / name))) for name in ("lr0.02", "lr1e-06")}
    assert found["lr0.02"] != found["lr1e-06"]
    assert fingerprint(load_upstream(str(sweep))) == found[best.name] == predicting(sweep)


def test_of_a_cross_validation_the_folder_of_a_fold_is_asked_for(trained: Callable[..., Path]) -> None:
    run = trained("finetune=all", "folds=k:2", "folds.group=''", "data.all=train.jsonl.gz")
    with pytest.raises(ConfigError, match=f"is a cross-validation; name the run of one .* instance {run}/folds/1\\.$"):
        load_upstream(str(run))
    assert fingerprint(load_upstream(str(run / "folds" / "2"))) == predicting(run / "folds" / "2")


def test_a_run_takes_no_options(trained: Callable[..., Path]) -> None:
    for run in (trained(*MODES["all"], "checkpoint=best"), trained("finetune=all", "sweep.lr=[0.02,1e-6]")):
        for options in ({"dropout": 0.3}, {"weights": "random"}):
            with pytest.raises(ConfigError, match="is a run, whose encoder is as it was trained; leave the upstream's"):
                load_upstream(str(run), **options)  # type: ignore[arg-type]


def test_a_run_that_has_not_got_that_far_says_how_to_go_on(tera: Make, tmp_path: Path) -> None:
    run = train(tera("finetune=all"), tmp_path / "run")
    (run / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=rf"has no checkpoints/best\.safetensors yet; go on with `audiossl train --resume {run}`"
    ):
        load_upstream(str(run))


def test_a_run_on_an_encoder_that_changed_meanwhile_is_refused(saved: Path, experiment: Make, tmp_path: Path) -> None:
    run = train(experiment(f"upstream={saved}", "finetune=all", "trainer.steps=2"), tmp_path / "run")
    assert fingerprint(load_upstream(str(run))) == predicting(run)
    save_upstream(tiny(seed=1), saved)
    with pytest.raises(CheckpointError, match=rf"The upstream '{saved}' is not the one that {run} was trained with"):
        load_upstream(str(run))


def test_weights_that_are_not_what_the_file_says_are_named(tera: Make, tmp_path: Path) -> None:
    run = train(tera("finetune=lora"), tmp_path / "run")
    stored = read_json(run / "encoder.json")
    write_json(run / "encoder.json", {**stored, "finetune": {"mode": "norm_and_bias"}})
    with pytest.raises(CheckpointError, match=rf"fine-tuned as {run} says\. missing: .*; unexpected: .*lora_A"):
        load_upstream(str(run))


def test_loading_a_run_draws_nothing(trained: Callable[..., Path]) -> None:
    run = trained(*MODES["lora"], "checkpoint=best")
    torch.manual_seed(7)
    before = torch.get_rng_state()
    load_upstream(str(run))
    assert torch.equal(torch.get_rng_state(), before)


LOADED = """
import sys
from audiossl.encoders.loading import load_upstream
load_upstream(sys.argv[1])
print(*sorted({name.split(".")[1] for name in sys.modules if name.startswith("audiossl.")}))
"""


def test_loading_a_run_needs_nothing_of_what_a_run_is(trained: Callable[..., Path]) -> None:
    """Plug-ins are loaded by their names; of the rooms above encoders nothing is."""
    run = trained(*MODES["all"], "checkpoint=best")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOADED, str(run)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    rooms = set(done.stdout.split())
    assert {"core", "encoders", "upstreams"} <= rooms <= {"core", "data", "nn", "metrics", "encoders", "upstreams"}


def test_the_encoder_of_a_pretraining_takes_options(corpus: Path, tmp_path: Path) -> None:
    out = pretrain(of_pretraining(corpus), tmp_path / "encoder")
    found = load_upstream(str(out))
    assert fingerprint(found) == fingerprint(load_upstream(str(out / "upstream.safetensors")))
    assert load_upstream(str(out), dropout=0.3).config.dropout == 0.3
    assert fingerprint(load_upstream(str(out), weights="random", seed=1)) != fingerprint(found)


def test_the_encoder_of_a_run_is_an_upstream(trained: Callable[..., Path], experiment: Make, tmp_path: Path) -> None:
    run = trained(*MODES["lora"], "checkpoint=best")
    second = train(experiment(f"upstream={run}", "trainer.steps=2", "finetune=all"), tmp_path / "second")
    assert json.loads((second / "run.json").read_text())["upstream_fingerprint"] == predicting(run)
    assert fingerprint(load_upstream(str(second))) == predicting(second) != predicting(run)


def test_a_pretraining_run_without_its_encoder_says_how_to_go_on(tmp_path: Path) -> None:
    EncoderFile(weights="upstream.safetensors").write(tmp_path)
    with pytest.raises(CheckpointError, match="pre-training has not ended; go on with `audiossl pretrain --resume"):
        load_upstream(str(tmp_path))


def test_a_run_of_an_earlier_version_says_what_adds_its_encoder(tera: Make, tmp_path: Path) -> None:
    run = train(tera("finetune=all", "trainer.steps=2"), tmp_path / "run")
    (run / "encoder.json").unlink()
    with pytest.raises(CheckpointError, match="earlier version.* `audiossl evaluate .* adds encoder.json"):
        load_upstream(str(run))
    load_run(run, device="cpu").evaluate("test")
    tuned = load_run(run, device="cpu").task.upstream
    assert fingerprint(load_upstream(str(run))) == fingerprint(tuned)


def test_a_sweep_of_which_no_member_is_finished_says_so(tmp_path: Path) -> None:
    record = SweepRecord("accuracy", "max", [MemberRecord("lr0.1", {"lr": 0.1}), MemberRecord("lr0.2", {"lr": 0.2})])
    record.write(tmp_path)
    with pytest.raises(
        CheckpointError, match="No member of the sweep .* is finished; go on with `audiossl train --res"
    ):
        load_upstream(str(tmp_path))
    record.members[1].state, record.members[1].dev = "finished", 0.5
    record.write(tmp_path)
    assert read_encoder_file(tmp_path).runs == ["lr0.2"]


def test_evaluating_an_earlier_sweep_or_cross_validation_adds_its_encoder(
    experiment: Make, corpus: Path, tmp_path: Path, audiossl: Callable[..., Any]
) -> None:
    sweep = train(experiment("sweep.lr=[0.02,0.01]", "trainer.steps=2"), tmp_path / "sweep")
    folded = experiment("folds=k:2", "folds.group=''", "data.all=train.jsonl.gz", "trainer.steps=2")
    folds = train(folded, tmp_path / "folds")
    said = {folder: (folder / "encoder.json").read_text() for folder in (sweep, folds)}
    for folder in said:
        (folder / "encoder.json").unlink()
        with pytest.raises(CheckpointError, match="`audiossl evaluate .* adds encoder.json"):
            load_upstream(str(folder))
        assert audiossl("evaluate", folder).code == 0
        assert (folder / "encoder.json").read_text() == said[folder]
    with pytest.raises(ConfigError, match="is a cross-validation; name the run of one of its folds"):
        load_upstream(str(folds))


def test_a_folder_of_another_toolkit_may_hold_a_config_yaml(tmp_path: Path) -> None:
    upstream = load_upstream("wav2vec2", weights="random", **TINY)
    write_folder(upstream, tmp_path)
    (tmp_path / "config.yaml").write_text("of: somebody else\n")
    assert fingerprint(load_upstream(str(tmp_path))) == fingerprint(load_upstream(f"hf:{tmp_path}"))
