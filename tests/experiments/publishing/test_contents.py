"""What is sent of each kind of run, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.core import LABELS
from toys.tera import TERA_SIZES, tiny

from audiossl import cuts_of, load_run, load_upstream
from audiossl.core.errors import AudiosslError, OutputError
from audiossl.core.tensors import fingerprint, read_tensors
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.publishing.contents import run_of, write_published
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import best_member
from audiossl.experiments.training import pretrain

Make = Callable[..., Any]
SHORT = ("trainer.steps=2", "trainer.eval_every=2", "features=off")
OPTIONS = PushOptions()


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_of_a_sweep_the_best_member_without_what_only_resuming_needs(experiment: Make, tmp_path: Path) -> None:
    run = train(experiment(*SHORT, "sweep.lr=[0.01,0.02]", "checkpoint=last"), tmp_path / "run")
    assert write_published(run, tmp_path / "sent", "me/x", OPTIONS) == "run"
    assert files_in(tmp_path / "sent") == {
        *("README.md", "audiossl.json", "config.yaml", "run.json", "encoder.json", "interface.json"),
        "checkpoints/last.safetensors",  # a registered encoder goes by its name
    }
    whole, _ = read_tensors(best_member(run) / "checkpoints" / "last.safetensors")
    sent, said = read_tensors(tmp_path / "sent" / "checkpoints" / "last.safetensors")
    assert sent.keys() == {name for name in whole if name.startswith("model/")} < whole.keys()
    assert said == {}


@pytest.mark.slow
def test_folds_become_numbers_and_their_rows_stay(experiment: Make, corpus: Path, tmp_path: Path) -> None:
    folds = ("folds=leave_one_out:speaker", "data.all=train.jsonl.gz", "folds.dev_shares_groups=true")
    run = train(experiment(*SHORT, *folds), tmp_path / "run")
    write_published(run, tmp_path / "sent", "me/x", OPTIONS)
    assert json.loads((tmp_path / "sent" / "folds.json").read_text()) == {"1": {}, "2": {}}
    written = b"".join((tmp_path / "sent" / name).read_bytes() for name in files_in(tmp_path / "sent"))
    assert b"speaker_0" not in written
    assert not [name for name in files_in(tmp_path / "sent") if "manifests" in name or name.endswith(".jsonl")]
    sounds = cuts_of([str(corpus.parent / "audio" / "test")])
    sent = load_run(tmp_path / "sent", device="cpu")
    assert sent.predict(sounds) == load_run(run, device="cpu").predict(sounds)
    with pytest.raises(AudiosslError, match="There is no") as caught:
        sent.evaluate()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_of_a_pretraining_its_encoder(corpus: Path, tmp_path: Path) -> None:
    overrides = [f"data.dir={corpus}", "trainer.steps=1", "data.batch_size=6", *TERA_SIZES]
    run = pretrain(read_experiment(None, overrides, pretrain=True), tmp_path / "run")
    assert write_published(run, tmp_path / "sent", "me/x", OPTIONS) == "encoder"
    assert files_in(tmp_path / "sent") == {"README.md", "audiossl.json", "upstream.safetensors"}
    assert fingerprint(load_upstream(str(tmp_path / "sent"))) == fingerprint(load_upstream(str(run)))


@pytest.mark.slow
def test_how_an_encoder_in_a_file_is_loaded_is_kept(experiment: Make, tmp_path: Path) -> None:
    save_upstream(tiny(), tmp_path / "e.safetensors")
    options = ("upstream_options.weights=random", "upstream_options.seed=4", "upstream_options.precision=bf16")
    run = train(experiment(*SHORT, f"upstream={tmp_path / 'e.safetensors'}", *options), tmp_path / "run")
    write_published(run, tmp_path / "sent", "me/x", OPTIONS)
    config = RunFolder(tmp_path / "sent").config()
    assert (config.upstream, config.upstream_options) == ("run:encoder.safetensors", {"precision": "bf16"})


def test_what_cannot_be_sent_is_a_sentence_and_leaves_nothing(experiment: Make, tmp_path: Path) -> None:
    run, out = RunFolder(train(experiment(*SHORT), tmp_path / "run")), tmp_path / "sent"
    run.interface_path.rename(tmp_path / "interface.json")
    with pytest.raises(AudiosslError, match=f"is not trained to its end; go on with `audiossl train --resume {run}`"):
        write_published(run.path, out, "me/x", OPTIONS)
    (tmp_path / "interface.json").rename(run.interface_path)
    # A label that is a path of this machine, by whatever way it came there.
    labels = [str(tmp_path / "run"), *LABELS[1:]]
    run.write_config(read_experiment(run.config_path, [f"task.labels={labels}"], saved=True))
    with pytest.raises(OutputError, match=f"would tell others of {tmp_path}.*, so nothing is sent; take it out of"):
        write_published(run.path, out, "me/x", OPTIONS)
    assert not out.exists()
    (out / "mine").mkdir(parents=True)
    with pytest.raises(OutputError, match="sent is not empty; name a new folder"):
        write_published(run.path, out, "me/x", OPTIONS)
    assert (out / "mine").is_dir()


def test_what_is_a_run(tmp_path: Path) -> None:
    assert run_of("tera_mini") is run_of("hf:me/x") is run_of(tmp_path) is None
