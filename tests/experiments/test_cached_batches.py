"""A head that is trained on cached features is the head that is trained on sound."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ROOT, TINY_TERA, count_encoded

from audiossl import load_run
from audiossl.core.config import save_yaml
from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.files import read_jsonl
from audiossl.core.tensors import read_tensors
from audiossl.core.terminal import Interrupted
from audiossl.data.manifests import read_manifest
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.experiments.cached_batches import needs_of, open_features
from audiossl.experiments.start import train
from audiossl.features.manage import entries_in
from audiossl.training.context import accelerator_of
from audiossl.training.log import read_log

Make = Callable[..., Any]
TERA = ["upstream=tera", "upstream_options.weights=random"]
TERA += [f"upstream_options.{key}={value}" for key, value in TINY_TERA.items()]


def log_of(run: Path, split: str = "train") -> list[dict[str, Any]]:
    return [line for line in read_log(run) if line["split"] == split]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in log_of(run)]


def form_of(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["features"])


def test_frames_in_fp32_give_the_bits_of_recomputing_where_batches_have_one_recording(
    cached_experiment: Make, tmp_path: Path
) -> None:
    """In larger batches, the rounding of an encoder's matrix products depends on what is padded beside what."""
    settings = ["data.batch_size=1", "cache.dtype=fp32", "cache.batch_s=0.001", *TERA, "trainer.steps=20"]
    for head in (["task.pooling=statistics"], ["task.pooling=attention", "interface=concat", "task.dropout=0.3"]):
        name = head[0].split("=")[1]
        off = train(cached_experiment(*settings, *head, "features=off"), tmp_path / f"off-{name}")
        frames = train(cached_experiment(*settings, *head, "features=frames"), tmp_path / f"frames-{name}")
        assert log_of(off) == log_of(frames)
        assert log_of(off, "dev") == log_of(frames, "dev")
        one, two = (read_tensors(run / "checkpoints" / "last.safetensors")[0] for run in (off, frames))
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("features", "dtype", "tolerance"),
    [
        ("frames", "fp32", 1e-6),
        ("pooled", "fp32", 1e-6),
        ("frames", "fp16", 3e-5),
        ("pooled", "fp16", 6e-5),
        ("frames", "bf16", 3e-4),
        ("frames", "int8", 1e-3),
    ],
)
@pytest.mark.parametrize("interface", ["weighted_sum", "layer"])
def test_losses_and_predictions_are_those_of_recomputing(
    cached_experiment: Make, tmp_path: Path, features: str, dtype: str, tolerance: float, interface: str
) -> None:
    """But for what a type cannot hold. (Standardised layers that vary little about their mean make more of that.)"""
    settings = [*TERA, f"interface={interface}", "task.dropout=0.2", "trainer.lr=0.001", "standardize=false"]
    settings += ["interface_options.index=1"] if interface == "layer" else []
    off = train(cached_experiment(*settings, "features=off"), tmp_path / "off")
    run = train(cached_experiment(*settings, f"features={features}", f"cache.dtype={dtype}"), tmp_path / "run")
    assert (form_of(off), form_of(run)) == ("off", features)
    assert losses(run) == pytest.approx(losses(off), rel=tolerance, abs=tolerance)
    for made in (off, run):
        load_run(made, device="cpu").evaluate("test")
    one, two = (read_jsonl(made / "test" / "predictions.jsonl") for made in (off, run))
    for first, second in zip(one, two, strict=True):
        assert first["id"] == second["id"]
        assert second["scores"] == pytest.approx(first["scores"], abs=max(10 * tolerance, 2e-6))


def test_a_head_that_needs_means_reads_those_of_frames(cached_experiment: Make, tmp_path: Path) -> None:
    """Frames that are kept in fp32 then give the bits of means that are kept in fp32."""
    settings = [*TERA, "cache.dtype=fp32", "task.dropout=0.2"]
    frames = train(cached_experiment(*settings, "features=frames"), tmp_path / "frames")
    pooled = train(cached_experiment(*settings, "features=pooled"), tmp_path / "pooled")
    assert log_of(frames) == log_of(pooled)
    assert log_of(frames, "dev") == log_of(pooled, "dev")
    for run in (frames, pooled):
        load_run(run, device="cpu").evaluate("test")
    one, two = (read_jsonl(run / "test" / "predictions.jsonl") for run in (frames, pooled))
    assert one == two


@pytest.mark.parametrize(
    ("settings", "num_buckets"),
    [
        (["task.pooling=mean"], 1),
        (["task.pooling=mean", "features=off"], 1),  # the form must not decide which rows come together
        (["task.pooling=mean", "features=frames"], 1),
        (["task.pooling=attention"], 10),
        (["task.pooling=mean", "data.speeds=[0.9,1.1]"], 10),
    ],
)
def test_recordings_that_are_one_vector_come_in_random_batches(
    cached_experiment: Make, corpus: Path, settings: list[str], num_buckets: int
) -> None:
    cuts = {split: read_manifest(corpus / f"{split}.jsonl.gz") for split in ("train", "dev")}
    config = complete_config(cached_experiment(*settings), cuts["train"])
    task = build_downstream(config)
    needs, accelerator = needs_of(config, task, "toy", None), accelerator_of(config.trainer)
    with open_features([needs], accelerator, config.trainer, cuts) as (features,):
        assert features.data == dataclasses.replace(config.data, num_buckets=num_buckets)


def test_the_encoder_runs_once_for_each_recording(
    cached_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_encoded(monkeypatch)
    run = train(cached_experiment(), tmp_path / "run")
    assert form_of(run) == "pooled"
    assert sum(sizes) == 18 + 9  # train and dev, over two and a half epochs and two evaluations
    train(cached_experiment("seed=1", "trainer.lr=0.1"), tmp_path / "again")
    assert sum(sizes) == 18 + 9
    for _ in range(2):
        load_run(run).evaluate("test")
        assert sum(sizes) == 18 + 9 + 12
    assert [entry.num_utterances for entry in entries_in(tmp_path / "features")] == [18 + 9 + 12]


def test_rows_that_training_never_reaches_are_not_computed(
    cached_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the standardisation, which is of all rows if they are few."""
    sizes = count_encoded(monkeypatch)
    train(cached_experiment("trainer.steps=2", "trainer.eval_every=0", "standardize=false"), tmp_path / "run")
    assert sum(sizes) <= 2 * 4 + 9


def test_rows_that_training_leaves_out_are_not_computed(cached_experiment: Make, tmp_path: Path) -> None:
    settings = ["data.min_duration_s=0.3", "trainer.steps=20"]
    off = train(cached_experiment(*settings, "features=off"), tmp_path / "off")
    run = train(cached_experiment(*settings, "features=pooled", "cache.dtype=fp32"), tmp_path / "run")
    assert losses(run) == pytest.approx(losses(off), abs=1e-5)
    (entry,) = entries_in(tmp_path / "features")
    assert 9 < entry.num_utterances < 27


def test_only_the_layers_that_the_interface_reads_are_kept(cached_experiment: Make, tmp_path: Path) -> None:
    train(cached_experiment("interface=layer", "interface_options.index=1", "features=frames"), tmp_path / "run")
    (entry,) = entries_in(tmp_path / "features")
    assert entry.description["layers"] == [1]


@pytest.mark.parametrize("features", ["pooled", "frames"])
def test_a_run_that_was_stopped_goes_on_exactly(
    cached_experiment: Make, tmp_path: Path, features: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    from audiossl.downstreams.utterance_classification.task import UtteranceClassification

    config = cached_experiment(f"features={features}", "task.dropout=0.3")
    straight = train(config, tmp_path / "straight")
    original, count = UtteranceClassification.loss, [0]

    def loss(self: Any, batch: Any) -> Any:
        count[0] += 1
        if count[0] == 5:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(UtteranceClassification, "loss", loss)
        with pytest.raises(Interrupted, match="after step 5"):
            train(config, tmp_path / "stopped")
    train(config, tmp_path / "stopped", resume=True)
    assert log_of(straight) == log_of(tmp_path / "stopped")
    assert log_of(straight, "dev") == log_of(tmp_path / "stopped", "dev")
    assert form_of(tmp_path / "stopped") == features


def test_what_does_not_fit_is_computed_again(
    cached_experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(cached_experiment("features=frames", "cache.dtype=fp32"), tmp_path / "whole")
    (entry,) = entries_in(tmp_path / "features")
    settings = ["features=frames", "cache.dtype=fp32", f"cache.dir={tmp_path / 'small'}"]
    part = train(cached_experiment(*settings, f"cache.max_gb={entry.num_bytes / 2e9}"), tmp_path / "part")
    assert losses(part) == pytest.approx(losses(whole), abs=1e-6)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "has reached its limit" in warnings[0].getMessage()
    (small,) = entries_in(tmp_path / "small")
    assert 0 < small.num_utterances < entry.num_utterances
    assert sum(path.stat().st_size for path in small.folder.iterdir()) < 0.6 * entry.num_bytes
    none = train(cached_experiment("cache.max_gb=0", f"cache.dir={tmp_path / 'none'}"), tmp_path / "none_run")
    assert form_of(none) == "off"


def test_auto_says_why(cached_experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    caplog.set_level(logging.INFO, "audiossl.experiments")
    cases = {
        "pooled (head and interface need no more than the mean over time)": [],
        "frames (all frames are kept, since the head (UtteranceClassification as configured) needs more than the mean "
        "over time)": ["task.pooling=max"],
        "frames (all frames are kept, since the interface (HierarchicalConv) is no affine function of the layers)": [
            "interface=hierarchical_conv"
        ],
        "off (finetune.mode=all changes the encoder in every step)": ["finetune=all"],
        "off (data.max_crop_s=0.2 cuts another part of a recording in every epoch)": ["data.max_crop_s=0.2"],
        "off (data.speeds=[0.9, 1.1] plays a recording at another speed in every epoch)": ["data.speeds=[0.9,1.1]"],
        "off (the hidden states of all frames do not fit the budget (cache.max_gb))": [
            "task.pooling=max",
            "cache.max_gb=0",
            f"cache.dir={tmp_path / 'other'}",
        ],
    }
    for number, (expected, overrides) in enumerate(cases.items()):
        caplog.clear()
        train(cached_experiment("trainer.steps=1", *overrides), tmp_path / str(number))
        assert f"Features: {expected}." in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["features=frames", "finetune=all"], "features=frames would change the result: finetune.mode=all"),
        (["features=pooled", "data.max_crop_s=0.2"], "data.max_crop_s=0.2 cuts another part"),
        (["features=pooled", "task.pooling=max"], "needs more than the mean over time; set features=auto or off"),
        (["features=pooled", "interface=hierarchical_conv"], "is no affine function of the layers"),
    ],
)
def test_a_cache_that_would_change_the_result_is_refused(
    cached_experiment: Make, tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        train(cached_experiment(*overrides), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert not (tmp_path / "features").exists()


def test_a_form_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    from audiossl.experiments.config import read_experiment

    with pytest.raises(ConfigError, match=r"'features'.*'stats', expected one of .'auto', 'frames', 'pooled', 'off'"):
        read_experiment(None, ["features=stats"])


def test_off_can_be_written_bare_in_yaml(cached_experiment: Make, tmp_path: Path) -> None:
    from audiossl.experiments.config import read_experiment

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("features: off\n", encoding="utf-8")
    assert read_experiment(recipe).features == "off"
    assert read_experiment(recipe, ["features=auto"]).features == "auto"
    save_yaml(cached_experiment("features=off"), recipe)
    assert read_experiment(recipe).features == "off"


def test_an_encoder_whose_states_depend_on_the_batch_is_not_cached(cached_experiment: Make, tmp_path: Path) -> None:
    waveform = {"conv_widths": "[8,8]", "conv_kernels": "[10,8]", "conv_strides": "[8,8]", "width": 16}
    waveform |= {"num_layers": 1, "num_heads": 2, "ffn_width": 32, "position_kernel": 4, "position_groups": 2}
    options = [f"upstream_options.{name}={value}" for name, value in waveform.items()]
    options += ["upstream=wav2vec2", "upstream_options.weights=random", "upstream_options.padding=legacy"]
    run = train(cached_experiment(*options, "trainer.steps=1"), tmp_path / "run")
    assert form_of(run) == "off"
    with pytest.raises(ConfigError, match="legacy padding"):
        train(cached_experiment(*options, "features=pooled"), tmp_path / "other")


@pytest.mark.slow
def test_two_processes_share_the_work_and_give_the_losses_of_one(
    cached_experiment: Make, tmp_path: Path, corpus: Path
) -> None:
    overrides = [*TERA, "features=frames", "trainer.device=cpu", "trainer.batches_per_step=2"]
    one = train(cached_experiment(*overrides), tmp_path / "one")
    recipe = tmp_path / "recipe.yaml"
    save_yaml(cached_experiment(*overrides, f"cache.dir={tmp_path / 'second'}"), recipe)
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--module"]
    command = [sys.executable, "-m", *launcher, "audiossl", "train", str(recipe), "--out", str(tmp_path / "two")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-5, abs=1e-5)
    assert log_of(one, "dev")[-1]["accuracy"] == log_of(tmp_path / "two", "dev")[-1]["accuracy"]
    from audiossl.features.shards import Shard

    (entry,) = entries_in(tmp_path / "second")
    rows = sorted(place.row for path in entry.folder.glob("*.shard") for place in Shard(path).index)
    expected = [cut.id for split in ("train", "dev") for cut in read_manifest(corpus / f"{split}.jsonl.gz")]
    assert rows == sorted(expected), done.stderr[-3000:]  # everything, and nothing twice


def changes(corpus: Path) -> str:
    """A list of augmentations that draw from the training rows and from a folder."""
    noise = {"name": "noise", "path": str(corpus.parent / "audio" / "dev"), "snr_db": [0, 9]}
    return "data.augment=" + json.dumps([noise, {"name": "babble", "voices": [2, 2]}, {"name": "gain", "p": 0.5}])


@pytest.mark.slow
def test_copies_are_changed_sound_that_is_encoded_once(
    cached_experiment: Make, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_encoded(monkeypatch)
    same = [changes(corpus), "cache.copies=2", "cache.dtype=fp32", "data.batch_size=1", "task.pooling=statistics"]
    same += ["data.speeds=[0.9,1.1]", "data.max_crop_s=0.3", "trainer.steps=40", "trainer.eval_every=20"]
    frames = train(cached_experiment(*same), tmp_path / "frames")
    assert form_of(frames) == "frames" and sum(sizes) == 2 * 18 + 9  # in more than two epochs
    again = train(cached_experiment(*same, "seed=1"), tmp_path / "again")
    assert sum(sizes) == 2 * 18 + 9 and losses(again) != losses(frames)
    off = train(cached_experiment(*same, "features=off"), tmp_path / "off")
    assert losses(off) == losses(frames) and log_of(off, "dev") == log_of(frames, "dev")
    sizes.clear()
    train(cached_experiment(*same[2:5]), tmp_path / "clean")
    assert sum(sizes) == 18  # of the training rows as they are, of which there was none
    train(cached_experiment(*same, "data.augment=[{name: gain}]"), tmp_path / "other")
    assert sum(sizes) == 18 + 2 * 18


def test_changed_sound_is_refused_with_the_way_to_keep_it(
    cached_experiment: Make, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.augment \(noise, babble, gain\) changes .*or cache\.copies=4 for four"
    ):
        train(cached_experiment(changes(corpus), "features=frames"), tmp_path / "run")
    with pytest.raises(ConfigError, match="cache.copies=2 keeps what a frozen encoder gives, and finetune.mode=all"):
        cached_experiment("cache.copies=2", "finetune=all")
    with pytest.raises(AudioError, match=r"data\.augment\[0\] \(noise\) finds nothing in its path"):
        train(cached_experiment("data.augment=[{name: noise, path: nowhere}]"), tmp_path / "nowhere")
