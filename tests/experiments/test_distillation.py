"""Distillation and fine-tuning in one step: two families of teachers, exact resumption, what adapters see, faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import load_run, load_upstream
from audiossl.core.errors import AudiosslError, ConfigError, ManifestError
from audiossl.core.tensors import fingerprint, read_tensors
from audiossl.core.types import Batch
from audiossl.data.loader import collate
from audiossl.data.manifests import read_manifest
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.distillation import build_distillation
from audiossl.experiments.start import train
from audiossl.training.downstream import Downstream
from audiossl.training.log import read_log

Make = Callable[..., Experiment]
SIZES = {"width": 16, "num_heads": 2, "ffn_width": 32}
CONVS = {"conv_widths": [8, 8], "conv_kernels": [10, 8], "conv_strides": [10, 32], "position_kernel": 4}
FAMILIES: dict[str, dict[str, Any]] = {"hubert": {**SIZES, **CONVS, "position_groups": 2}, "mel_transformer": SIZES}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of teachers with three blocks, by family."""
    made = {name: tmp_path_factory.mktemp("teachers") / f"{name}.safetensors" for name in FAMILIES}
    for name, path in made.items():
        save_upstream(load_upstream(name, weights="random", seed=3, num_layers=3, **FAMILIES[name]), path)
    return made


@pytest.fixture
def distilling(experiment: Make, teachers: dict[str, Path], tmp_path: Path) -> Make:
    """An experiment with a student of two blocks. Its first argument is the family."""

    def make(family: str, *overrides: str, adapters: int = 4) -> Experiment:
        options = {"num_layers": 2, "weights": "random", **FAMILIES[family]}
        base = [f"upstream={family}", *(f"upstream_options.{name}={value}" for name, value in options.items())]
        base += [f"distill={teachers[family]}", "distill.options.copy_layers=true", f"cache.dir={tmp_path / 'cache'}"]
        base += ["distill.options.pairs=[[-1,2],[1,3]]", "finetune=all", f"finetune.adapter_width={adapters}"]
        return experiment(*base, "trainer.steps=4", "trainer.eval_every=0", "trainer.lr=0.01", *overrides)

    return make


def last(run: Path) -> dict[str, Tensor]:
    return read_tensors(run / "checkpoints" / "last.safetensors")[0]


@pytest.mark.parametrize("family", ["hubert", pytest.param("mel_transformer", marks=pytest.mark.slow)])
def test_a_run_with_other_sound_resumes_exactly_and_leaves_an_encoder(
    distilling: Make, own_corpus: Path, tmp_path: Path, family: str
) -> None:
    others = [f"distill.data={own_corpus}", "data.max_crop_s=0.2", "finetune.adapter_noise=0.5"]
    whole = train(distilling(family, *others), tmp_path / "whole")
    logs = [line for line in read_log(whole) if line["split"] == "train"]
    assert [abs(line["loss"] - line["task_loss"] - line["distil_loss"]) < 1e-4 for line in logs] == [True] * 4
    assert any((tmp_path / "cache").iterdir())  # the teacher's states
    part = train(distilling(family, *others, "trainer.steps=3"), tmp_path / "part")
    train(distilling(family, *others), part, resume=True)
    expected, found = last(whole), last(part)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    # The adapters are part of the encoder wherever the run is used, and the teacher is needed no more.
    run, upstream = load_run(whole), load_upstream(str(whole))
    assert run.task.distillation is None
    assert fingerprint(run.task.upstream) == fingerprint(upstream)
    assert any("parallel_adapter" in name and bool(value.any()) for name, value in upstream.named_parameters())
    assert len(run.evaluate("test")) > 0
    with pytest.raises(AudiosslError, match="adapters beside its blocks"):
        save_upstream(upstream, tmp_path / "alone.safetensors")


def test_without_weight_and_adapters_it_is_plain_fine_tuning(distilling: Make, tmp_path: Path) -> None:
    """The student alone, bit for bit, in the task's own parameters. Its frozen stem is stored as well."""
    config = distilling("hubert", "distill.options.copy_layers=false", "distill.weight=0", adapters=0)
    none = train(config, tmp_path / "none")
    plain = train(replace(config, distill=type(config.distill)()), tmp_path / "plain")
    expected, found = last(plain), last(none)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    # A distillation beside it changes nothing of what the task draws: the first loss is the same.
    taught = train(replace(config, distill=replace(config.distill, weight=1.0)), tmp_path / "taught")
    assert read_log(taught)[0]["task_loss"] == read_log(plain)[0]["loss"]


def built(config: Experiment) -> tuple[Downstream, Batch]:
    """A task that is being distilled, and a batch with one beside it."""
    config = replace(config, task={"labels": ["high", "low", "noise"], "label_counts": [6, 6, 6]}, standardize=False)
    upstream = load_upstream(config.upstream, **config.upstream_options)
    objective = build_distillation(config, upstream, fingerprint(upstream))
    task = build_downstream(config, upstream)
    assert objective is not None
    task.distil(objective, config.distill.weight)
    rows = list(read_manifest(config.data.path("train")))
    return task.train(), replace(collate(rows[:4], 16000), beside=collate(rows[4:8], 16000))


def gradients(task: Downstream, loss: Tensor) -> dict[str, Tensor]:
    task.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


def test_distillation_gives_no_gradient_to_adapters(distilling: Make) -> None:
    task, batch = built(distilling("mel_transformer"))
    for name, parameter in task.named_parameters():
        if ".parallel_adapter.up." in name:
            torch.nn.init.normal_(parameter)
    both = gradients(task, task(batch)[0])
    alone = gradients(task, task(replace(batch, beside=None))[0])
    adapters = [name for name in both if ".parallel_adapter." in name]
    assert len(adapters) == 8  # weights and biases of two layers of two blocks
    for name in adapters:
        assert bool(alone[name].any())
        assert torch.equal(both[name], alone[name])
    assert not torch.equal(both["upstream.blocks.0.up.weight"], alone["upstream.blocks.0.up.weight"])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["finetune.mode=none", "finetune.adapter_width=0"], r"finetune.mode=none keeps it as it is"),
        (["distill.options.pairs=[[-1,4]]"], "The teacher has layers 0 to 3"),
        (["distill.options.pairs=[[5,1]]"], "The student has layers 0 to 2"),
        (["distill.options.states=cache", "data.speeds=[0.9,1.1]"], "no states of the teacher"),
        (["interface=layer", "interface_options.index=1"], "reads layer 2 of the student"),
        (["distill.curriculum=true"], "name such data"),
        (["distill.options.teacher=log_mel"], "give it by distill.teacher"),
        (["distill.data=nowhere"], "nowhere/train.jsonl.gz"),
    ],
)
def test_faults(distilling: Make, tmp_path: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(AudiosslError, match=said):
        train(distilling("mel_transformer", *overrides), tmp_path / "run")


def test_a_teacher_is_no_student_and_rows_have_one_meaning(
    distilling: Make, experiment: Make, teachers: dict[str, Path], tmp_path: Path
) -> None:
    teacher = teachers["mel_transformer"]
    itself = [f"upstream={teacher}", f"distill={teacher}", "finetune=all", "distill.options.pairs=[[-1,-1]]"]
    with pytest.raises(ConfigError, match="is the student itself"):
        train(experiment(*itself), tmp_path / "run")
    same = experiment().data.dir
    with pytest.raises(ManifestError, match="among the training rows"):
        train(distilling("mel_transformer", f"distill.data={same}", "distill.curriculum=true"), tmp_path / "run")
