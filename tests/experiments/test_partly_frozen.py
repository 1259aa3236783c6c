"""Fine-tuning of the last blocks: what lies below is computed once, and nothing but the time changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import load_run
from audiossl.core.errors import ConfigError
from audiossl.core.tensors import read_tensors
from audiossl.data.manifests import read_manifest
from audiossl.encoders.waveform.cards import WAVEFORM_TOY
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.training.log import read_log

Make = Callable[..., Any]
WAV2VEC = ["upstream=wav2vec2", "upstream_options.weights=random", "upstream_options.num_layers=3"]
WAV2VEC += [
    f"upstream_options.{key}={list(value) if isinstance(value, tuple) else value}"
    for key, value in WAVEFORM_TOY.items()
    if key != "num_layers"
]
WAV2VEC += ["trainer.steps=8", "trainer.eval_every=4", "cache.dtype=fp32", "task.dropout=0.2"]
TOP = ["finetune.mode=top_k", "finetune.top_k=1"]
MASKS = ["upstream_options.mask_time_prob=0.3", "upstream_options.mask_time_length=3"]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_log(run) if line["split"] == "train"]


@pytest.mark.parametrize(
    "settings",
    [
        [*TOP],
        [*TOP, "interface=last", "finetune.freeze_steps=2"],
        [*TOP, *MASKS],
        ["finetune.mode=all", *MASKS],
    ],
)
def test_losses_and_predictions_are_those_without(settings: list[str], cached_experiment: Make, tmp_path: Path) -> None:
    off = train(cached_experiment(*WAV2VEC, *settings, "features=off"), tmp_path / "off")
    kept = train(cached_experiment(*WAV2VEC, *settings, "features=auto"), tmp_path / "kept")
    assert RunFolder(kept).facts.features == "frames"
    assert losses(kept) == pytest.approx(losses(off), rel=1e-4)
    ours, theirs = (load_run(run).evaluate("test") for run in (kept, off))
    assert {name: metric.value for name, metric in ours.items()} == pytest.approx(
        {name: metric.value for name, metric in theirs.items()}
    )


BERT = ["upstream=bert", "upstream_options.weights=random", "trainer.steps=8", "trainer.eval_every=4"]
BERT += [
    f"upstream_options.{key}={value}"
    for key, value in {
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "ffn_width": 32,
        "position_kernel": 16,
        "position_groups": 2,
    }.items()
]


@pytest.mark.parametrize(
    "settings",
    [
        ["finetune.mode=all"],
        ["finetune.mode=all", "upstream_options.num_units=300", "cache.dtype=bf16"],  # numbers are never rounded
        [*TOP, "cache.dtype=fp32"],
    ],
)
def test_bert_goes_on_from_what_its_encoder_of_frames_gives(
    settings: list[str], cached_experiment: Make, tmp_path: Path
) -> None:
    off = train(cached_experiment(*BERT, *settings, "features=off"), tmp_path / "off")
    kept = train(cached_experiment(*BERT, *settings), tmp_path / "kept")
    assert RunFolder(kept).facts.features == "frames"
    assert losses(kept) == pytest.approx(losses(off), rel=1e-4)


@pytest.mark.parametrize(
    ("first", "settings"),
    [
        ("toy", [*TOP, "finetune.members=[wav2vec2]"]),  # one frozen, one fine-tuned
        ("bert", [*TOP]),  # both in part, and frames at other times
        ("bert", [*TOP, "upstream_options.join=pooled"]),
        ("bert", ["finetune.mode=all", "interface=last", "trainer.lr=0.001"]),  # from the stem and from the frames
    ],
)
def test_joined_encoders_go_on_from_what_each_leaves(
    first: str,
    settings: list[str],
    cached_experiment: Make,
    toy_upstream: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = [each.replace("upstream_options.", "upstream_options.wav2vec2.") for each in WAV2VEC]
    if first == "bert":
        own += [each.replace("upstream_options.", "upstream_options.bert.") for each in BERT]
    begun: list[int] = []
    begin = WaveformEncoder.begin

    def counted(self: WaveformEncoder, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        begun.append(len(wavs))
        return begin(self, wavs, lengths, point)

    monkeypatch.setattr(WaveformEncoder, "begin", counted)
    joined = [*own, f"upstream={toy_upstream if first == 'toy' else first} + wav2vec2", *settings]
    off = train(cached_experiment(*joined, "features=off"), tmp_path / "off")
    kept = train(cached_experiment(*joined), tmp_path / "kept")
    assert RunFolder(kept).facts.features == "frames"
    assert losses(kept) == pytest.approx(losses(off), rel=1e-4, abs=1e-6)
    rows = sum(len(read_manifest(cached_experiment().data.path(split))) for split in ("train", "dev"))
    assert sum(begun) == rows
    load_run(kept).evaluate("dev")  # of what was trained nothing is computed again
    assert sum(begun) == rows
    ours, theirs = (load_run(run).evaluate("test") for run in (kept, off))
    assert {name: metric.value for name, metric in ours.items()} == pytest.approx(
        {name: metric.value for name, metric in theirs.items()}
    )


@pytest.mark.parametrize("first", [[*TOP], ["finetune.mode=none"]])
def test_a_later_stage_goes_on_from_what_all_stages_leave(
    first: list[str], cached_experiment: Make, tmp_path: Path
) -> None:
    stages = ["stages.late.finetune.mode=top_k", "stages.late.finetune.top_k=2", "stages.late.trainer.lr=0.01"]
    runs = {}
    for asked in ("off", "auto"):
        made = cached_experiment(*WAV2VEC, *first, *stages, f"features={asked}")
        runs[asked] = train(made, tmp_path / asked)
    assert RunFolder(runs["auto"]).facts.features == "frames"
    assert RunFolder(runs["auto"]).stage(1).facts.features in ("frames", "pooled")
    assert losses(runs["auto"]) == pytest.approx(losses(runs["off"]), rel=1e-4)
    ours, theirs = (load_run(runs[asked]).evaluate("test") for asked in ("auto", "off"))
    assert {name: metric.value for name, metric in ours.items()} == pytest.approx(
        {name: metric.value for name, metric in theirs.items()}
    )


def test_the_encoder_runs_once_over_each_recording(
    cached_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    begin = WaveformEncoder.begin

    def counted(self: WaveformEncoder, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        begun.append(len(wavs))
        return begin(self, wavs, lengths, point)

    monkeypatch.setattr(WaveformEncoder, "begin", counted)
    train(cached_experiment(*WAV2VEC, *TOP), tmp_path / "run")
    rows = sum(len(read_manifest(cached_experiment().data.path(split))) for split in ("train", "dev"))
    assert sum(begun) == rows
    train(cached_experiment(*WAV2VEC, *TOP, "seed=1"), tmp_path / "other")
    assert sum(begun) == rows


def test_a_run_that_was_stopped_goes_on_exactly(cached_experiment: Make, tmp_path: Path) -> None:
    settings = [*WAV2VEC, *TOP, *MASKS]
    whole = train(cached_experiment(*settings), tmp_path / "whole")
    train(cached_experiment(*settings, "trainer.steps=4"), tmp_path / "part")
    train(cached_experiment(*settings), tmp_path / "part", resume=True)
    one, two = (read_tensors(run / "checkpoints" / "last.safetensors")[0] for run in (whole, tmp_path / "part"))
    assert one.keys() == two.keys()
    assert losses(tmp_path / "part") == losses(whole)
    assert all(torch.equal(one[name], two[name]) for name in one if name.startswith("model/"))


def test_what_would_change_the_result_is_refused(cached_experiment: Make, tmp_path: Path) -> None:
    whole = ["finetune.mode=all", "finetune.freeze_stem=false"]
    with pytest.raises(ConfigError, match=r"finetune\.mode=all changes the encoder in every step"):
        train(cached_experiment(*WAV2VEC, *whole, "features=frames"), tmp_path)
    with pytest.raises(ConfigError, match=r"features=frames would change the result: data\.speeds"):
        train(cached_experiment(*WAV2VEC, *TOP, "data.speeds=[0.9,1.1]", "features=frames"), tmp_path)
