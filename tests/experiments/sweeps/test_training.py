"""Sweeps: members are the runs that they would be alone, whether they take turns or are computed as one."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ROOT, TINY_TERA, ToyUpstream, count_encoded
from toys.sweeps import assert_equal_runs, lines, stop_in_loss, weights

from audiossl import load_run
from audiossl.core.config import save_yaml
from audiossl.core.errors import AudiosslError, ConfigError, TrainingError, UnknownNameError
from audiossl.core.tensors import read_tensors
from audiossl.core.terminal import Interrupted
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import best_member, is_sweep, read_sweep, runs_of
from audiossl.report import build_report
from audiossl.training.task import Monitor

Make = Callable[..., Any]
LRS, PAIR = "sweep.lr=[0.1,0.01,0.001]", "sweep.lr=[0.1,0.01]"


def cases(settings: dict[str, list[str]], num_fast: int = 3) -> list[Any]:
    """Named parameters, all but the first `num_fast` of which are for the slow run."""
    return [
        pytest.param(own, id=name, marks=[pytest.mark.slow] if place >= num_fast else [])
        for place, (name, own) in enumerate(settings.items())
    ]


TURNS = {
    "pooled": ["sweep.stack=off", "sweep.seed=[0,3]"],
    "frames, dropout": ["task.pooling=statistics", "task.dropout=0.3", "features=frames"],
    "off, several batches a step": ["features=off", "trainer.batches_per_step=3", "task.dropout=0.3"],
    "off, crops, bf16": [
        "trainer.precision=bf16",
        "data.max_crop_s=0.2",
        "trainer.schedule=cosine",
        "trainer.warmup_steps=3",
    ],
    "statistics of the interface": ["interface=pca", "interface_options.width=4"],
}


@pytest.mark.parametrize("settings", cases(TURNS))
def test_members_that_take_turns_are_separate_runs_bit_by_bit(short: Make, tmp_path: Path, settings: list[str]) -> None:
    sweep = train(short("sweep.lr=[0.1,0.001]", *settings), tmp_path / "sweep")
    entry = read_sweep(sweep).members[-1]  # of another seed than the default, where seeds are swept over
    own = ["trainer.lr=0.001", f"seed={entry.values.get('seed', 0)}"]
    alone = train(short(*[each for each in settings if not each.startswith("sweep")], *own), tmp_path / "alone")
    assert_equal_runs(alone, sweep / entry.name)


def test_members_with_other_interfaces_and_heads_are_separate_runs(
    short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is fed with means, one with frames of one layer, one with frames of all: the encoder runs once for all."""
    sizes = count_encoded(monkeypatch)
    axes = ["sweep.interface=[weighted_sum,{name: layer, index: 1}]", "sweep.task=[{},{pooling: max}]"]
    sweep = train(short(*axes, "sweep.stack=off"), tmp_path / "sweep")
    assert sum(sizes) == 18 + 9
    names = ["weighted_sum-defaults", "weighted_sum-pooling_max", "layer_index1-defaults", "layer_index1-pooling_max"]
    assert [entry.name for entry in read_sweep(sweep).members] == names
    layer = ["interface=layer", "interface_options.index=1"]
    settings = [[], ["task.pooling=max"], layer, ["task.pooling=max", *layer]]
    for name, own in zip(names, settings, strict=True):
        alone = train(short(*own, f"cache.dir={tmp_path / name}"), tmp_path / f"{name}-alone")
        assert_equal_runs(alone, sweep / name)
        forms = [json.loads((run / "run.json").read_text())["features"] for run in (alone, sweep / name)]
        assert forms[0] == forms[1] == ("frames" if "max" in name else "pooled")


STACKED = {
    "pooled": [],
    "fp16 means, several batches a step": ["cache.dtype=fp16", "trainer.batches_per_step=2"],
    "means of frames": ["features=frames", "trainer.optimizer=adamw", "trainer.weight_decay=0.1"],
    "layer": ["interface=layer", "interface_options.width=5", "trainer.optimizer=sgd", "trainer.clip=0"],
    "concat": ["interface=concat", "task.class_weights=true", "task.projector_width=null", "trainer.clip=0.1"],
    "groups": ["interface=grouped_weighted_sum", "task.label_smoothing=0.1", "trainer.schedule=linear"],
}


@pytest.mark.parametrize("settings", cases(STACKED))
def test_heads_that_are_computed_as_one_differ_by_rounding(
    short: Make, tmp_path: Path, settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    original = UtteranceClassification.loss
    monkeypatch.setattr(
        UtteranceClassification, "loss", lambda self, batch: calls.append(None) or original(self, batch)
    )
    stacked = train(short(PAIR, *settings), tmp_path / "stacked")
    one_for_all = len(calls)
    turns = train(short(PAIR, "sweep.stack=off", *settings), tmp_path / "turns")
    assert len(calls) - one_for_all == 2 * one_for_all  # they were computed as one
    for entry in read_sweep(turns).members:
        one, two = (lines(run / entry.name, "train") for run in (turns, stacked))
        for first, second in zip(one, two, strict=True):
            assert first.pop("split") == second.pop("split")
            assert second == pytest.approx(first, rel=1e-4, abs=1e-5)
        last, other = weights(turns / entry.name), weights(stacked / entry.name)
        assert last.keys() == other.keys()
        for key, value in last.items():
            torch.testing.assert_close(other[key], value, rtol=5e-3, atol=5e-4)
        assert lines(turns / entry.name, "dev")[-1]["step"] == lines(stacked / entry.name, "dev")[-1]["step"] == 12


@pytest.mark.parametrize(
    "overrides", cases({"dropout": ["task.dropout=0.1"], "attention": ["interface=cls_pooling"]}, num_fast=1)
)
def test_what_cannot_be_computed_as_one_takes_turns(short: Make, tmp_path: Path, overrides: list[str]) -> None:
    auto = train(short(PAIR, *overrides), tmp_path / "auto")
    off = train(short(PAIR, "sweep.stack=off", *overrides), tmp_path / "off")
    assert_equal_runs(auto / "lr0.01", off / "lr0.01")


def test_recordings_are_read_once_for_all_heads(short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cache too: in training and in the evaluations."""
    sizes = count_encoded(monkeypatch)
    train(short("features=off"), tmp_path / "alone")
    alone = list(sizes)
    train(short("features=off", LRS), tmp_path / "sweep")
    assert sizes[len(alone) :] == alone


@pytest.mark.parametrize(("stack", "batches", "loss"), [("auto", 1, 8), ("off", 3, 14)])
def test_a_sweep_that_was_stopped_goes_on_exactly(
    short: Make, tmp_path: Path, stack: str, batches: int, loss: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = short(PAIR, "sweep.seed=[0,1]", f"trainer.batches_per_step={batches}", f"sweep.stack={stack}")
    straight = train(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        stop_in_loss(patch, loss)
        with pytest.raises(Interrupted, match=f"{tmp_path / 'stopped'} holds all that is needed to go on"):
            train(config, tmp_path / "stopped")
    states = [entry.state for entry in read_sweep(tmp_path / "stopped").members]
    assert states == ["training", "waiting"] * 2  # the second seed had not begun
    steps = {lines(tmp_path / "stopped" / f"lr{lr}-seed0", "train")[-1]["step"] for lr in ("0.1", "0.01")}
    assert len(steps) == 1
    assert 0 < steps.pop() < 12
    train(read_experiment(tmp_path / "stopped" / "config.yaml"), tmp_path / "stopped", resume=True)
    for entry in read_sweep(straight).members:
        assert_equal_runs(straight / entry.name, tmp_path / "stopped" / entry.name)
    assert read_sweep(straight) == read_sweep(tmp_path / "stopped")


def test_members_that_were_killed_between_their_checkpoints_catch_up(short: Make, tmp_path: Path) -> None:
    """The first has its checkpoint of step 8, the second that of step 4, the third none."""
    config = short(LRS, "sweep.stack=off", "trainer.save_every=4")
    straight = train(config, tmp_path / "straight")
    killed = tmp_path / "killed"
    original, count = torch.optim.Adam.step, [0]

    def step(self: Any, *arguments: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] == 3 * 8 + 1:  # the first has saved step 8 and makes the next
            raise MemoryError
        return original(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        with pytest.raises(MemoryError):
            train(config, killed)
    (killed / "lr0.001" / "checkpoints" / "last.safetensors").unlink()
    read = read_tensors(killed / "lr0.1" / "checkpoints" / "last.safetensors")
    assert read[1]["step"] == 8
    train(config, killed, resume=True)
    for entry in read_sweep(straight).members:
        assert_equal_runs(straight / entry.name, killed / entry.name)


def test_finished_members_are_not_repeated_and_others_can_be_added(
    short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = train(short("sweep.lr=[0.1,0.01]", "sweep.stack=off"), tmp_path / "sweep")
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/checkpoints/*")}
    calls: list[int] = []
    original = UtteranceClassification.loss
    monkeypatch.setattr(UtteranceClassification, "loss", lambda self, batch: calls.append(1) or original(self, batch))
    train(read_experiment(out / "config.yaml"), out, resume=True)
    assert not calls
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/checkpoints/*")} == before
    train(read_experiment(out / "config.yaml", [LRS]), out, resume=True)
    assert len(calls) == 12
    assert [entry.state for entry in read_sweep(out).members] == ["finished"] * 3
    alone = train(short("trainer.lr=0.001"), tmp_path / "alone")
    assert_equal_runs(alone, out / "lr0.001")


@pytest.mark.parametrize("stack", ["auto", "off"])
def test_a_head_that_stops_early_leaves_the_others_alone(
    short: Make, tmp_path: Path, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By patience; one learning rate is so small that nothing ever changes on dev."""
    settings = ["trainer.patience=2", "trainer.eval_every=2", "trainer.steps=24"]
    rates = ["0.02", "1e-09", "0.01"]
    sweep = train(short(f"sweep.lr=[{','.join(rates)}]", f"sweep.stack={stack}", *settings), tmp_path / "sweep")
    ends = {rate: lines(sweep / f"lr{rate}", "train")[-1]["step"] for rate in rates}
    assert ends["1e-09"] == 6
    assert max(ends.values()) > 6
    for rate in rates:
        alone = train(short(f"trainer.lr={rate}", *settings), tmp_path / rate)
        assert ends[rate] == lines(alone, "train")[-1]["step"]
        assert lines(sweep / f"lr{rate}", "dev") == lines(alone, "dev")
        if stack == "off":
            assert_equal_runs(alone, sweep / f"lr{rate}")


@pytest.mark.parametrize("stack", ["auto", "off"])
def test_a_head_that_cannot_go_on_is_marked_and_the_others_go_on(
    short: Make, tmp_path: Path, stack: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ["trainer.max_nonfinite=2", "trainer.optimizer=sgd", "trainer.clip=0", f"sweep.stack={stack}"]
    sweep = train(short("sweep.lr=[1e30,0.01,0.02]", *settings), tmp_path / "sweep")
    bad, *good = read_sweep(sweep).members
    assert (bad.name, bad.state) == ("lr1e+30", "failed")
    assert "not finite in 2 steps on end" in bad.why
    assert "Member lr1e+30 of the sweep cannot go on" in caplog.text
    assert [entry.state for entry in good] == ["finished", "finished"]
    alone = train(short("trainer.lr=0.01", *settings[:3]), tmp_path / "alone")
    for key, value in weights(alone).items():
        torch.testing.assert_close(weights(sweep / "lr0.01")[key], value, rtol=1e-4, atol=1e-5)
    with pytest.raises(TrainingError, match="No member of the sweep .* could be trained; the first: The loss"):
        train(short("sweep.lr=[1e30,1e31]", *settings), tmp_path / "none")


def test_a_fine_tuned_encoder_is_loaded_for_each_member(short: Make, tmp_path: Path) -> None:
    settings = ["upstream=tera", "upstream_options.weights=random", "finetune=all", "trainer.steps=4"]
    settings += [f"upstream_options.{key}={value}" for key, value in TINY_TERA.items()]
    sweep = train(short("sweep.lr=[0.01,0.001]", *settings), tmp_path / "sweep")
    alone = train(short("trainer.lr=0.001", *settings), tmp_path / "alone")
    assert_equal_runs(alone, sweep / "lr0.001")
    assert any(name.startswith("model/upstream.") for name in weights(sweep / "lr0.01"))
    assert [entry.state for entry in read_sweep(sweep).members] == ["finished", "finished"]


@pytest.mark.slow
def test_under_torchrun_members_are_trained_one_after_another(short: Make, tmp_path: Path) -> None:
    settings = ["upstream=tera", "upstream_options.weights=random", "trainer.device=cpu", "trainer.steps=4"]
    settings += [f"upstream_options.{key}={value}" for key, value in TINY_TERA.items()]
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "sweep"
    save_yaml(short(*settings, "trainer.batches_per_step=2", "sweep.lr=[0.01,0.001]"), recipe)
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--module"]
    command = [sys.executable, "-m", *launcher, "audiossl", "train", str(recipe), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [entry.state for entry in read_sweep(out).members] == ["finished", "finished"]
    alone = train(short(*settings, "trainer.batches_per_step=2", "trainer.lr=0.001"), tmp_path / "alone")
    assert json.loads((out / "lr0.001" / "run.json").read_text())["processes"] == 2
    for first, second in zip(lines(alone, "train"), lines(out / "lr0.001", "train"), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)


def test_every_member_is_a_run_and_the_sweep_is_its_best(
    short: Make, tmp_path: Path, audiossl: Make, corpus: Path
) -> None:
    out = train(short("sweep.lr=[1e-05,0.02]", "sweep.seed=[0,1]", "trainer.steps=60"), tmp_path / "sweep")
    record = read_sweep(out)
    for entry in record.members:
        run = load_run(out / entry.name, device="cpu")
        assert (run.config.trainer.lr, run.config.seed) == (entry.values["lr"], entry.values["seed"])
        best = max(lines(out / entry.name, "dev"), key=lambda line: line["accuracy"])
        assert (entry.dev, entry.step) == (best["accuracy"], best["step"])
    assert [entry.name for entry in record.chosen] == ["lr0.02-seed0", "lr0.02-seed1"]
    assert runs_of(out) == [out / "lr0.02-seed0", out / "lr0.02-seed1"]
    assert runs_of(out / "lr0.02-seed0") == [out / "lr0.02-seed0"]
    assert load_run(out).folder == best_member(out) == out / record.best().name  # type: ignore[union-attr]

    done = audiossl("evaluate", out)
    assert done.code == 0, done.err
    for expected in ("lr1e-05-seed0", "best of seed", "mean of 2 seeds"):
        assert expected in done.out
    facts = json.loads(audiossl("evaluate", out, "--json").out)
    assert list(facts["evaluated"]) == ["lr0.02-seed0", "lr0.02-seed1"]
    found = [
        json.loads((out / name / "test" / "metrics.json").read_text())["metrics"]["accuracy"]["value"]
        for name in facts["evaluated"]
    ]
    assert [metrics["accuracy"]["value"] for metrics in facts["evaluated"].values()] == found
    assert facts["over_seeds"]["accuracy"]["mean"] == pytest.approx(sum(found) / 2)
    assert not (out / "lr1e-05-seed0" / "test").exists()
    wav = next((corpus.parent / "audio" / "test").glob("high_*.wav"))
    assert audiossl("predict", out, wav).code == 0
    page = Path(build_report([out / entry.name for entry in record.members], tmp_path / "members"))
    assert "lr1e-05-seed1" in page.read_text(encoding="utf-8")
    done = audiossl("report", out, "--out", tmp_path / "sweep_report")
    assert done.code == 0, done.err
    text = (tmp_path / "sweep_report" / page.name).read_text(encoding="utf-8")
    assert "lr0.02-seed0" in text and "lr0.02-seed1" in text
    assert text.count("lr1e-05-seed0") == 1  # in the table of the sweep alone


def test_on_the_command_line_with_resume(
    short: Make, tmp_path: Path, audiossl: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    save_yaml(short("sweep.stack=off"), recipe)
    assert read_experiment(recipe).sweep.stack == "off"
    with monkeypatch.context() as patch:
        stop_in_loss(patch, 5)
        stopped = audiossl("train", recipe, "sweep.lr=[1e-1,1e-2]", "--out", out)
    assert stopped.code == 130
    assert f"audiossl train --resume {out}" in stopped.err
    assert audiossl("train", "--resume", out).code == 0
    assert [entry.name for entry in read_sweep(out).members] == ["lr0.1", "lr0.01"]
    again = audiossl("train", recipe, "sweep.lr=[1e-1]", "--out", out)
    assert (again.code, "has a run already" in again.err) == (2, True)
    assert audiossl("train", recipe, "sweep.lr=[1e-1]", "--out", out, "--overwrite").code == 0
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["lr0.1"]


def test_what_is_wrong_is_said_before_anything_is_written(short: Make, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    cases: list[tuple[list[str], type[AudiosslError], str]] = [
        (["sweep.interface=[weighted_sum,wieghted_sum]"], UnknownNameError, "weighted_sum"),
        (["sweep.task=[{poling: max}]"], ConfigError, "there is no key 'poling'. Did you mean pooling"),
        (["sweep.task=[{pooling: middle}]"], ConfigError, "no pooling named 'middle'"),
        (["sweep.interface=[weighted_sum,{name: layer, index: 9}]"], ConfigError, "index=9: there are layers 0 to 2"),
        (["sweep.interface=[weighted_sum,hierarchical_conv]", "features=pooled"], ConfigError, "features=pooled would"),
    ]
    for overrides, error, message in cases:
        with pytest.raises(error) as found:
            train(short(*overrides), out)
        assert message in str(found.value)
        assert not (out / "config.yaml").exists()
        assert not (tmp_path / "features").exists()


def test_heads_that_are_chosen_by_different_metrics_cannot_be_compared(
    short: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def monitor(self: UtteranceClassification) -> Monitor:
        return Monitor("accuracy" if self.config.pooling == "mean" else "uar", "max")

    monkeypatch.setattr(UtteranceClassification, "monitor", property(monitor))
    with pytest.raises(ConfigError, match=r"chosen by different metrics \(accuracy and uar\)"):
        train(short("sweep.task=[{pooling: mean},{pooling: max}]"), tmp_path / "sweep")


def test_a_run_does_not_become_a_sweep_nor_a_sweep_a_run(short: Make, tmp_path: Path) -> None:
    run = train(short("trainer.steps=1"), tmp_path / "run")
    with pytest.raises(ConfigError, match="is a run of its own and cannot become a sweep"):
        train(short(LRS), run, resume=True)
    sweep = train(short("trainer.steps=1", "sweep.lr=[0.1]"), tmp_path / "sweep")
    with pytest.raises(ConfigError, match="is a sweep and its values were taken away"):
        train(short("trainer.steps=1"), sweep, resume=True)
    assert (is_sweep(run), is_sweep(sweep)) == (False, True)
    with pytest.raises(AudiosslError, match="is not a sweep"):
        read_sweep(run)
    (sweep / "sweep.json").write_text("{}")
    with pytest.raises(AudiosslError, match=r"sweep\.json cannot be read"):
        read_sweep(sweep)


def test_the_encoder_is_loaded_once(short: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[ToyUpstream] = []
    original = ToyUpstream.__init__

    def counted(self: ToyUpstream, config: Any) -> None:
        made.append(self)
        original(self, config)

    caplog.set_level(logging.INFO, "audiossl.experiments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyUpstream, "__init__", counted)
        train(short(LRS, "sweep.seed=[0,1]"), tmp_path / "sweep")
    assert len(made) == 2  # the one of all six, and another draw, which shows that its weights are not random
    assert caplog.text.count("Features: pooled") == 1
