"""One run from its configuration to its folder: the order of events, what it says of itself, resuming."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import LABELS
from toys.heads import log_of
from toys.tera import short_pretraining as tera
from toys.tera import tiny

from audiossl import load_run, load_upstream, save_upstream
from audiossl.core.config import read_yaml
from audiossl.core.errors import (
    AudiosslError,
    CheckpointError,
    ConfigError,
    LabelError,
    ManifestError,
    TrainingError,
)
from audiossl.core.tensors import read_tensors, write_tensors
from audiossl.core.terminal import Interrupted
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.encoders.encoder_file import EncoderFile, read_encoder_file
from audiossl.experiments import training
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder
from audiossl.experiments.start import train
from audiossl.experiments.training import pretrain
from audiossl.objectives.tera.objective import TeraObjective
from audiossl.training.task import Task
from audiossl.training.trainer import Trainer

Make = Callable[..., Any]
STEPS = 12


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of a short pre-training, and `tests/objectives` draws them."""
    monkeypatch.setattr(TeraObjective, "snapshot", Task.snapshot)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a run, the lock left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def assert_same_run(first: Path, second: Path) -> None:
    assert log_of(first) == log_of(second)
    assert [line["step"] for line in log_of(first)] == list(range(1, STEPS + 1))
    one, two = (read_tensors(RunFolder(run).checkpoint("last"))[0] for run in (first, second))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_run_folder_says_how_it_was_made(run: Path) -> None:
    stored = read_yaml(run / "config.yaml")
    assert stored["task"]["labels"] == list(LABELS)
    assert stored["task"]["label_counts"] == [6, 6, 6]
    facts = json.loads((run / "run.json").read_text())
    assert facts["versions"]["torch"] == version("torch")
    assert facts["num_trainable"] < facts["num_parameters"]


def test_the_parameters_are_counted_by_where_they_are(experiment: Make, tmp_path: Path) -> None:
    """The toy encoder: 160 to 8 to 8 to 8, with biases."""
    inside = 160 * 8 + 8 + 2 * (8 * 8 + 8)
    head = RunFolder(train(experiment("trainer.steps=1"), tmp_path / "frozen")).facts
    assert (head.num_trainable_upstream, head.num_parameters) == (0, inside + (head.num_trainable or 0))
    assert head.num_trainable_head == head.num_trainable
    tuned = RunFolder(train(experiment("trainer.steps=1", "finetune=all"), tmp_path / "tuned")).facts
    assert tuned.num_trainable_upstream == inside
    assert tuned.num_trainable_head == head.num_trainable_head
    assert tuned.num_trainable == tuned.num_parameters == head.num_parameters
    assert (tuned.processes, tuned.features, tuned.upstream_fingerprint) == (1, "off", head.upstream_fingerprint)


def test_a_missing_manifest_is_named_and_leaves_no_run(experiment: Make, tmp_path: Path, run: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere/train\.jsonl\.gz"):
        train(experiment("data.dir=nowhere"), tmp_path / "none")
    assert not (tmp_path / "none" / "config.yaml").exists()
    with pytest.raises(ManifestError, match=r"extra\.jsonl\.gz"):
        load_run(run).evaluate("extra")


def test_an_existing_run_is_resumed_or_overwritten_but_never_lost(tmp_path: Path, experiment: Make) -> None:
    config = experiment("trainer.steps=4")
    train(config, tmp_path)
    with pytest.raises(TrainingError, match=r"has a run already: .*--resume .*--overwrite"):
        train(config, tmp_path)
    (tmp_path / "figures").mkdir(exist_ok=True)
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    train(experiment("trainer.steps=2"), tmp_path, overwrite=True)
    assert len(log_of(tmp_path)) == 2
    assert not (tmp_path / "figures" / "old.png").exists()
    train(experiment("trainer.steps=4"), tmp_path, resume=True)
    assert len(log_of(tmp_path)) == 4
    with pytest.raises(TrainingError, match="not a run folder, so nothing can be resumed"):
        train(config, tmp_path / "nowhere", resume=True)


def wrong_label(corpus: Path) -> None:
    """Change a label of dev to one that training has not."""
    rows = [*read_manifest(corpus / "dev.jsonl.gz")]
    rows[0].supervisions[0].custom["label"] = "click"
    write_manifests({"dev": rows}, corpus)


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["data.dir=nowhere"], ManifestError),
        (["task.poolign=max"], ConfigError),
        (["upstream_options.widht=3"], ConfigError),
        (["finetune=top_k", "finetune.top_k=1"], ConfigError),
        (["features=stats"], ConfigError),
        (["wrong label"], LabelError),
        (["wrong trainer"], TrainingError),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_start_replaces_nothing(
    experiment: Make,
    run: Path,
    own_corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    error: type[Exception],
) -> None:
    before = contents(run)
    given = [f"data.dir={own_corpus}", *(override for override in overrides if "=" in override)]
    if "wrong label" in overrides:
        wrong_label(own_corpus)
    if "wrong trainer" in overrides:
        monkeypatch.setattr(training, "Trainer", refuse)
    with pytest.raises(error):
        train(experiment(*given), run, overwrite=True)
    assert contents(run) == before
    load_run(run, device="cpu")


def refuse(*arguments: Any, **options: Any) -> None:
    raise TrainingError("nothing to train")


def test_a_resumed_run_says_what_it_is_now(experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command and the time are of the last start; what hidden states are read stays."""
    monkeypatch.setattr(sys, "argv", ["audiossl", "train", "first"])
    out = train(
        experiment("trainer.steps=2", "features=frames", f"cache.dir={tmp_path / 'features'}"), tmp_path / "run"
    )
    first = RunFolder(out).facts
    monkeypatch.setattr(sys, "argv", ["audiossl", "train", "again"])
    train(experiment("trainer.steps=4", f"cache.dir={tmp_path / 'features'}", "checkpoint=last"), out, resume=True)
    second = RunFolder(out).facts
    assert (first.command, second.command) == ("audiossl train first", "audiossl train again")
    assert first.features == second.features == "frames"
    assert first.key is not None
    assert second.key is None  # it is of parts with unlike settings
    said = {name: getattr(first, name) for name in ("command", "created", "key", "identity")}
    assert replace(second, **said) == first
    assert read_encoder_file(out).weights == "checkpoints/last.safetensors"
    assert RunFolder(out).config().trainer.steps == 4


def test_what_is_finished_has_the_weights_of_its_best_layers(run: Path) -> None:
    best = load_run(run, "best", "cpu").task.interface.layer_weights()
    assert RunFolder(run).interface == LayerWeights("weighted_sum", best)


def test_resuming_with_another_upstream_is_refused_and_changes_nothing(tmp_path: Path, experiment: Make) -> None:
    train(experiment("trainer.steps=2"), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match="The upstream 'toy_frames' changed since"):
        train(experiment("trainer.steps=4", "upstream_options.width=9"), tmp_path, resume=True)
    assert contents(tmp_path) == before


def statistics_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_run(run, device="cpu").task.trainable_state()
    return {name.split(".")[-1]: value for name, value in state.items() if "standardization" in name}


def test_layers_are_standardised_by_the_training_rows_however_they_are_read(
    experiment: Make, corpus: Path, tmp_path: Path
) -> None:
    short = ["trainer.steps=2", f"cache.dir={tmp_path / 'features'}", "cache.dtype=fp32"]
    runs = [train(experiment(*short, f"features={f}"), tmp_path / f) for f in ("off", "frames", "pooled")]
    first, *others = map(statistics_of, runs)
    upstream, rows = load_run(runs[0], device="cpu").task.upstream, read_manifest(corpus / "train.jsonl.gz")
    items = [upstream(torch.from_numpy(cut.load_audio()), torch.tensor([cut.num_samples])) for cut in rows]
    means = torch.stack([item.layers[2][0].mean(0) for item in items])
    torch.testing.assert_close(first["mean_2"], means.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first["deviation_2"], means.std(0, correction=0), rtol=1e-4, atol=1e-5)
    for other in others:
        assert other.keys() == first.keys()
        assert all(torch.allclose(other[name], first[name], rtol=1e-5, atol=1e-6) for name in first)


def test_a_fine_tuned_encoder_starts_from_its_statistics_and_they_stay(experiment: Make, tmp_path: Path) -> None:
    frozen, tuned = (
        train(experiment("trainer.steps=3", "features=off", f"finetune={mode}"), tmp_path / mode)
        for mode in ("none", "all")
    )
    first, second = statistics_of(frozen), statistics_of(tuned)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not statistics_of(train(experiment("trainer.steps=3", "standardize=false"), tmp_path / "off"))


@pytest.mark.parametrize("interface", ["pca", "hierarchical_conv", "concat"])
def test_interfaces_survive_resuming_and_loading(experiment: Make, tmp_path: Path, interface: str) -> None:
    settings = [f"interface={interface}", "interface_options.width=4", "trainer.save_every=3"]
    straight = train(experiment(*settings, "trainer.steps=6"), tmp_path / "straight")
    stopped = train(experiment(*settings, "trainer.steps=3"), tmp_path / "stopped")
    train(experiment(*settings, "trainer.steps=6"), stopped, resume=True)
    first, second = (load_run(path, "last").task.trainable_state() for path in (straight, stopped))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


class Stopped(Exception):
    """In the middle of training."""


def test_a_pretraining_says_first_that_it_has_no_encoder_yet(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def stop(trainer: Trainer, resume: bool = False) -> None:
        assert read_encoder_file(out) == EncoderFile(weights="upstream.safetensors")
        assert RunFolder(out).kind == "pretraining"
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", stop)
        with pytest.raises(Stopped):
            pretrain(tera(corpus, "trainer.steps=2"), out)
    assert not RunFolder(out).upstream_path.exists()
    with pytest.raises(CheckpointError, match=f"its pre-training has not ended; go on with .* --resume {out}"):
        load_upstream(str(out))
    pretrain(tera(corpus, "trainer.steps=2"), out, overwrite=True)
    tensors, described = read_tensors(RunFolder(out).upstream_path)
    dev = log_of(out, "dev")
    assert described["card"] == {"name": "encoder", "step": 2, "seed": 0, "dev_loss": pytest.approx(dev[-1]["loss"])}
    best = read_tensors(RunFolder(out).checkpoint("best"))[0]
    assert all(torch.equal(value, best[f"upstream.{name}"]) for name, value in tensors.items())
    facts = RunFolder(out).facts
    assert facts.num_parameters == facts.num_trainable
    assert (facts.upstream_fingerprint, facts.features, facts.num_trainable_head) == (None, None, None)


def test_a_pretraining_may_begin_where_another_ended(corpus: Path, tmp_path: Path) -> None:
    still = ["trainer.optimizer=sgd", "trainer.lr=1e-30", "trainer.steps=1"]
    first = pretrain(tera(corpus, "trainer.steps=2"), tmp_path / "first")
    second = pretrain(tera(corpus, f"init={first}", "seed=5", *still), tmp_path / "second")
    ends, begins = (read_tensors(RunFolder(run).checkpoint("best"))[0] for run in (first, second))
    assert any("upstream." not in name for name in ends)  # the heads of the objective go with it
    for name, value in ends.items():
        torch.testing.assert_close(begins[name], value, rtol=0, atol=1e-6)
    fresh = pretrain(tera(corpus, "seed=5", *still), tmp_path / "fresh")
    other = read_tensors(RunFolder(fresh).checkpoint("best"))[0]
    assert any(not torch.allclose(other[name], value, atol=1e-3) for name, value in ends.items())


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["init=nowhere"], AudiosslError),
        (["data.dir=nowhere"], ManifestError),
        (["objective=terra"], AudiosslError),
        (["upstream_options.widht=3"], ConfigError),
        (["init=of another shape"], ConfigError),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_pretraining_that_cannot_start_replaces_nothing(
    corpus: Path, tmp_path: Path, overrides: list[str], error: type[Exception]
) -> None:
    out = RunFolder(tmp_path / "run")
    write_tensors(out.checkpoint("best"), {"upstream.weight": torch.zeros(1)}, {})
    out.begin(tera(corpus), RunFacts(), EncoderFile(weights="upstream.safetensors"), resume=True)
    before = contents(out.path)
    other = tmp_path / "other.safetensors"
    save_upstream(tiny(num_layers=1), other)
    given = [f"init={other}" if "another shape" in override else override for override in overrides]
    with pytest.raises(error):
        pretrain(tera(corpus, *given), out.path, overwrite=True)
    assert contents(out.path) == before


def test_a_pretraining_does_not_replace_the_run_from_which_it_begins(corpus: Path, tmp_path: Path) -> None:
    out = RunFolder(tmp_path / "run")
    write_tensors(out.checkpoint("best"), {"upstream.weight": torch.zeros(1)}, {})
    out.begin(tera(corpus), RunFacts(), EncoderFile(weights="upstream.safetensors"), resume=True)
    before = contents(out.path)
    with pytest.raises(ConfigError, match="is read by this training and lies in .*, whose run is to be replaced"):
        pretrain(tera(corpus, f"init={out}"), out.path, overwrite=True)
    assert contents(out.path) == before


def test_pretraining_with_dropout_stopped_in_an_epoch_goes_on_exactly(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tera(corpus)
    pretrain(config, tmp_path / "straight")
    original, count = TeraObjective.loss, [0]

    def loss(self: TeraObjective, batch: Any) -> Any:
        count[0] += 1
        if count[0] == 9:  # step 5; an epoch is 5 batches
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TeraObjective, "loss", loss)
        with pytest.raises(Interrupted, match="after step 5"):
            pretrain(config, tmp_path / "stopped")
    pretrain(config, tmp_path / "stopped", resume=True)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    straight, stopped = (read_tensors(tmp_path / name / "upstream.safetensors") for name in ("straight", "stopped"))
    assert all(torch.equal(straight[0][name], stopped[0][name]) for name in straight[0])
    assert log_of(tmp_path / "straight", "dev") == log_of(tmp_path / "stopped", "dev")
