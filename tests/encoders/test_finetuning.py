"""Fine-tuning: what trains in each mode, the frozen first steps, exact resumption, what is stored, and LoRA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys.core import ROOT, TINY_TERA
from toys.tera import TERA

from audiossl import load_run, load_upstream
from audiossl.core.config import save_yaml
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.tensors import fingerprint, load_strict, read_tensors
from audiossl.core.types import Batch, Features
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.stream import StreamPlan
from audiossl.encoders.finetuning import (
    FinetuneConfig,
    make_trainable,
    merge_lora,
    set_training_mode,
    without_adapters,
)
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.start import train
from audiossl.training.downstream import Downstream
from audiossl.training.interface import load_interface
from audiossl.training.log import read_log

Make = Callable[..., Experiment]
TINY_WAVEFORM = {
    "conv_widths": [8, 8],
    "conv_kernels": [10, 8],
    "conv_strides": [8, 8],
    "width": 16,
    "num_layers": 3,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 4,
    "position_groups": 2,
}
STEPS = 8

# For each mode: the settings, and whether a parameter of the tiny TERA trains.
MODES: dict[str, tuple[list[str], Callable[[str], bool]]] = {
    "none": ([], lambda name: False),
    "all": (["finetune=all"], lambda name: True),
    "top_k": (["finetune=top_k", "finetune.top_k=1"], lambda name: name.startswith("blocks.1.")),
    "norm_and_bias": (["finetune=norm_and_bias"], lambda name: "norm." in name or name.endswith("bias")),
    "lora": (["finetune=lora", "finetune.lora_rank=2"], lambda name: "lora_" in name),
}


@pytest.fixture
def tera(experiment: Make) -> Make:
    """An experiment with a tiny TERA of two blocks; with its dropout on, so that exactness says something.

    Layers are as they are, so that a task that was just built can be run.
    """
    return lambda *overrides: experiment(*TERA, f"trainer.steps={STEPS}", "standardize=false", *overrides)


def completed(config: Experiment) -> Experiment:
    """As `train` makes it from the training data."""
    return replace(config, task={**config.task, "labels": ["high", "low", "noise"], "label_counts": [6, 6, 6]})


def a_batch(config: Experiment, split: str = "train") -> Batch:
    cuts = read_manifest(config.data.path(split))
    return next(iter(make_loader(cuts, StreamPlan(config.data, sample_rate_hz=16000, min_samples=400))))


def log_of(run: Path, split: str = "train") -> list[dict[str, Any]]:
    return [line for line in read_log(run) if line["split"] == split]


def last(run: Path) -> dict[str, Tensor]:
    return read_tensors(run / "checkpoints" / "last.safetensors")[0]


def tiny_waveform(**options: Any) -> Upstream:
    return load_upstream("wav2vec2", weights="random", **{**TINY_WAVEFORM, **options})


def training(upstream: Upstream) -> set[str]:
    return {name for name, parameter in upstream.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_gives_gradients_to_its_parameters_and_changes_no_others(
    tera: Make, tmp_path: Path, mode: str
) -> None:
    overrides, trains = MODES[mode]
    config = completed(tera(*overrides))
    task = build_downstream(config)
    before = {name: value.clone() for name, value in task.upstream.state_dict().items()}
    task.loss(a_batch(config)).total.backward()
    names = {name for name, _ in task.upstream.named_parameters()}
    with_gradient = {name for name, p in task.upstream.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name in names if trains(name)}
    assert task.upstream_is_frozen == (mode == "none")

    run = train(config, tmp_path / "run")
    after = load_run(run, "last", "cpu").task.upstream.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == with_gradient
    assert {name for name in names if "lora_" in name} == ({n for n in names if trains(n)} if mode == "lora" else set())


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpoint_holds_what_trains_and_reloading_gives_the_same_predictions(
    tera: Make, tmp_path: Path, mode: str
) -> None:
    overrides, trains = MODES[mode]
    config = completed(tera(*overrides))
    task, again = build_downstream(config), build_downstream(config)
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    state = {name: value.clone() for name, value in task.trainable_state().items()}
    stored = {name.removeprefix("upstream.") for name in state if name.startswith("upstream.")}
    assert stored == {name for name, _ in task.upstream.named_parameters() if trains(name)}
    batch = a_batch(config, "test")
    assert mode == "none" or again.eval().predict(batch) != task.eval().predict(batch)
    again.load_trainable_state(state)
    assert again.eval().predict(batch) == task.eval().predict(batch)
    if stored:
        state.pop(f"upstream.{min(stored)}")
        with pytest.raises(CheckpointError, match=r"missing: upstream\."):
            again.load_trainable_state(state)


def test_training_mode_is_on_where_something_trains() -> None:
    upstream = tiny_waveform(position_norm="batch")
    make_trainable(upstream, FinetuneConfig(mode="top_k", top_k=1))
    set_training_mode(upstream, True)
    assert not upstream.training  # what lies below the lowest block that trains
    assert upstream.blocks.training
    assert [block.training for block in upstream.blocks] == [False, False, True]
    assert not upstream.get_submodule("stem").training
    assert not upstream.get_submodule("position.norm").training
    set_training_mode(upstream, False)
    assert not any(module.training for module in upstream.modules())


@pytest.mark.parametrize("mode", ["all", "norm_and_bias"])
def test_the_stem_is_frozen_by_choice(mode: Any) -> None:
    names = {}
    for freeze in (True, False):
        upstream = tiny_waveform(layer_drop=0.0)
        make_trainable(upstream, FinetuneConfig(mode=mode, freeze_stem=freeze))
        set_training_mode(upstream, True)
        assert upstream.get_submodule("stem").training != freeze
        features = upstream(0.1 * torch.randn(2, 4000))
        sum(layer.square().sum() for layer in features.layers).backward()  # type: ignore[union-attr]
        names[freeze] = {name for name, p in upstream.named_parameters() if p.grad is not None}
        unused = {"mask_embedding"} if mode == "all" else set()
        assert names[freeze] == training(upstream) - unused
    stem = names[False] - names[True]
    assert stem
    assert all(name.startswith("stem.") for name in stem)
    assert mode == "all" or stem == {"stem.norms.0.weight", "stem.norms.0.bias"}


def test_upstream_and_head_have_rates_of_their_own(tera: Make, tmp_path: Path) -> None:
    overrides = ["finetune=all", "finetune.lr=0.001", "trainer.schedule=linear", "trainer.warmup_steps=2"]
    lines = log_of(train(tera(*overrides), tmp_path / "run"))
    factors = [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert [line["lr"] for line in lines] == pytest.approx([0.02 * factor for factor in factors])
    assert [line["lr_upstream"] for line in lines] == pytest.approx([0.001 * factor for factor in factors])
    same = log_of(train(tera("finetune=all"), tmp_path / "same"))
    assert [line["lr_upstream"] for line in same] == [0.02] * STEPS
    assert "lr_upstream" not in log_of(train(tera(), tmp_path / "frozen"))[0]


def test_a_step_moves_each_part_by_its_own_rate(tera: Make, tmp_path: Path) -> None:
    settings = ["trainer.optimizer=sgd", "trainer.betas=[0,0]", "trainer.steps=1", "trainer.clip=0", "finetune=all"]
    moved = []
    for rate in (0.01, 0.1):
        run = train(tera(*settings, f"finetune.lr={rate}", "trainer.lr=0.5"), tmp_path / str(rate))
        state = load_run(run, "last", "cpu").task.trainable_state()
        fresh = build_downstream(completed(tera("finetune=all"))).trainable_state()
        moved.append({name: float((state[name] - fresh[name]).double().norm()) for name in state})
    for name, far in moved[1].items():
        if name.startswith("upstream."):
            assert far == pytest.approx(10 * moved[0][name], rel=1e-2, abs=1e-5)
        else:
            assert far == moved[0][name]
    assert moved[0]["upstream.project.weight"] > 0


@pytest.mark.parametrize("mode", ["all", "top_k", "lora"])
def test_in_the_first_steps_the_upstream_is_exactly_frozen(tera: Make, tmp_path: Path, mode: str) -> None:
    adamw = ["trainer.optimizer=adamw", "trainer.weight_decay=0.5", "trainer.batches_per_step=2"]
    overrides = [*adamw, *MODES[mode][0], "finetune.freeze_steps=5", "features=off"]  # equal to the last digit
    frozen = train(tera(*adamw, "trainer.steps=5", "features=off"), tmp_path / "frozen")
    first = train(tera(*overrides, "trainer.steps=5"), tmp_path / "first")
    assert [{**line, "lr_upstream": 0.0} for line in log_of(frozen)] == log_of(first)
    pretrained = build_downstream(completed(tera(*overrides))).trainable_state()
    for name, value in last(first).items():
        if name.startswith("model/upstream."):
            assert torch.equal(value, pretrained[name.removeprefix("model/")])
        else:  # the head, and an optimizer that holds nothing of the upstream
            assert torch.equal(value, last(frozen)[name])
    whole = train(tera(*overrides), tmp_path / "whole")
    assert [line["lr_upstream"] > 0 for line in log_of(whole)] == [False] * 5 + [True] * 3
    assert len(last(whole)) > len(last(first))
    assert any(not torch.equal(last(whole)[f"model/{name}"], pretrained[name]) for name in pretrained)


def test_the_frozen_steps_have_no_graph_and_no_dropout(tera: Make) -> None:
    config = completed(tera("finetune=all", "finetune.freeze_steps=2"))
    task, batch = build_downstream(config).train(), a_batch(tera())
    for step, trains in [(0, False), (1, False), (2, True), (3, True), (1, False), (1, False), (2, True)]:
        task.begin_step(step)
        assert task.upstream.training == trains
        assert task.features(batch).layers[-1].requires_grad == trains
        assert task.training
        task.train()
        assert task.upstream.training == trains
    assert not task.eval().upstream.training


@pytest.mark.parametrize("mode", ["all", "lora"])
@pytest.mark.parametrize("stops", [[3], [6], [2, 4, 5]], ids=str)
def test_a_fine_tuning_run_goes_on_exactly(tera: Make, tmp_path: Path, mode: str, stops: list[int]) -> None:
    overrides = [*MODES[mode][0], "finetune.freeze_steps=4", "finetune.lora_dropout=0.2", "trainer.optimizer=adamw"]
    straight = train(tera(*overrides), tmp_path / "straight")
    stopped = tmp_path / "stopped"
    for number, step in enumerate([*stops, STEPS]):
        train(tera(*overrides, f"trainer.steps={step}", "trainer.eval_every=0"), stopped, resume=number > 0)
    assert log_of(straight) == log_of(stopped)
    one, two = last(straight), last(stopped)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_fine_tuned_run_is_evaluated_predicted_and_reported(
    tera: Make, corpus: Path, tmp_path: Path, audiossl: Callable[..., Any]
) -> None:
    run = train(tera("finetune=lora", "finetune.lora_rank=2", "trainer.steps=20"), tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    upstream = load_upstream("tera", weights="random", **TINY_TERA)
    assert facts["upstream_fingerprint"] == fingerprint(upstream)
    # Two blocks: A (2, 16) and B (48, 2) at qkv, A (2, 16) and B (16, 2) at out.
    assert facts["num_trainable_upstream"] == 2 * (2 * 16 + 48 * 2 + 2 * 16 + 16 * 2)
    assert facts["num_trainable"] == facts["num_trainable_upstream"] + facts["num_trainable_head"]
    assert audiossl("evaluate", run).code == 0
    assert json.loads((run / "test" / "metrics.json").read_text())["finetune"] == "lora"
    predicted = audiossl("predict", run, corpus.parent / "audio" / "test" / "low_0.wav", "--json")
    assert predicted.code == 0
    assert json.loads(predicted.out)["predicted"] in ("high", "low", "noise")
    assert audiossl("report", run, "--out", tmp_path / "report").code == 0
    with pytest.raises(CheckpointError, match=r"unexpected: upstream\.blocks"):
        load_run(run, overrides=["finetune=none"])


def test_merged_lora_gives_the_same_outputs_from_plain_weights(tmp_path: Path) -> None:
    plain = load_upstream("tera", weights="random", **TINY_TERA)
    upstream = load_upstream("tera", weights="random", **TINY_TERA)
    wavs = 0.1 * torch.randn(2, 5000)
    make_trainable(upstream, FinetuneConfig(mode="lora", lora_rank=3, lora_targets=["qkv", "out", "up", "down"]))
    with torch.no_grad():
        assert torch.equal(upstream(wavs).layers[-1], plain(wavs).layers[-1])  # B is zero at first
        for parameter in upstream.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
        apart = upstream(wavs).layers[-1]
        assert not torch.allclose(apart, plain(wavs).layers[-1], atol=1e-3)
        assert merge_lora(upstream) is upstream
        torch.testing.assert_close(upstream(wavs).layers[-1], apart, atol=1e-5, rtol=1e-5)
        assert list(upstream.state_dict()) == list(plain.state_dict())
        load_strict(plain, upstream.state_dict(), expected=plain.state_dict(), what="TERA")
        save_upstream(upstream, tmp_path / "merged.safetensors")
        again = load_upstream(str(tmp_path / "merged.safetensors"))
        assert torch.equal(again(wavs).layers[-1], merge_lora(upstream)(wavs).layers[-1])
    assert fingerprint(again) == fingerprint(upstream)


@pytest.mark.parametrize(
    ("interface", "up_to_layer", "calls"),
    [
        (("layer", {"index": 1}), 1, [True, False]),
        (("layer", {"index": -3}), 0, [False, False]),
        (("layer", {}), 2, [True, True]),
        (("last", {}), 2, [True, True]),
        (("weighted_sum", {}), None, [True, True]),
    ],
    ids=str,
)
def test_only_the_blocks_that_the_interface_needs_are_run(
    tera: Make, interface: tuple[str, dict[str, Any]], up_to_layer: int | None, calls: list[bool]
) -> None:
    name, options = interface
    config = completed(tera(f"interface={name}", *(f"interface_options.{k}={v}" for k, v in options.items())))
    task, batch = build_downstream(config), a_batch(config)
    made = task.interface
    assert made.up_to_layer == up_to_layer
    seen: set[int] = set()
    for number, block in enumerate(task.upstream.blocks):
        block.register_forward_pre_hook(lambda module, inputs, number=number: seen.add(number))
    sequence, _ = task.eval().sequence(batch)
    assert [number in seen for number in range(2)] == calls
    with torch.no_grad():
        torch.testing.assert_close(sequence, made(task.upstream(batch.wavs, batch.lengths)), atol=0, rtol=0)


def test_an_interface_refuses_features_that_lack_what_it_reads() -> None:
    layers = tuple(torch.randn(1, 3, width) for width in (4, 5, 6))
    interface = load_interface("layer", (4, 5, 6), index=1)
    whole = interface(Features(layers, torch.tensor([3])))
    assert torch.equal(whole, interface(Features(layers[:2], torch.tensor([3]))))
    for wrong in (layers[:1], layers[1:], (*layers, layers[0])):
        with pytest.raises(ValueError, match="built for layers of widths"):
            interface(Features(wrong, torch.tensor([3])))
    with pytest.raises(ValueError, match="built for layers of widths"):
        load_interface("weighted_sum", (4, 5, 6))(Features(layers[:2], torch.tensor([3])))


def test_blocks_that_are_never_run_do_not_count() -> None:
    def names(up_to_layer: int | None, **config: Any) -> set[str]:
        upstream = load_upstream("tera", weights="random", **{**TINY_TERA, "num_layers": 3})
        make_trainable(upstream, FinetuneConfig(**config), up_to_layer)
        return {name.split(".")[1] for name in training(upstream) if name.startswith("blocks.")}

    assert names(2, mode="top_k", top_k=1) == {"1"}
    assert names(None, mode="top_k", top_k=1) == {"2"}
    assert names(2, mode="lora") == names(2, mode="all") == names(2, mode="norm_and_bias") == {"0", "1"}
    with pytest.raises(ConfigError, match=r"tera runs 2 block\(s\) for this interface"):
        names(2, mode="top_k", top_k=3)
    shared = load_upstream("audio_albert", weights="random", **TINY_TERA)
    make_trainable(shared, FinetuneConfig(mode="top_k", top_k=1), 1)
    assert all(name.startswith("blocks.0.") for name in training(shared))


def test_lora_targets_are_found_by_name() -> None:
    upstream = load_upstream("tera", weights="random", **TINY_TERA)
    make_trainable(upstream, FinetuneConfig(mode="lora", lora_targets=["up"]))
    assert {name.split(".")[2] for name in training(upstream)} == {"up"}
    with pytest.raises(ConfigError, match=r"tera that are run have no linear layer 'q'\. Known: down, out, qkv, up"):
        make_trainable(
            load_upstream("tera", weights="random", **TINY_TERA), FinetuneConfig(mode="lora", lora_targets=["q"])
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "top_k"}, r"finetune\.top_k=0: .* at least 1"),
        ({"lr": 0.0}, r"finetune\.lr=0 "),
        ({"lr": float("nan")}, r"finetune\.lr=nan"),
        ({"freeze_steps": -1}, r"finetune\.freeze_steps=-1"),
        ({"lora_rank": 0}, r"finetune\.lora_rank=0"),
        ({"lora_alpha": 0.0}, r"lora_alpha=0 "),
        ({"lora_dropout": 1.0}, r"lora_dropout=1 "),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FinetuneConfig(**settings)


@pytest.mark.parametrize("overrides", [["finetune=lora"], ["finetune=top_k", "finetune.top_k=1"]], ids=str)
def test_an_encoder_without_blocks_is_refused(experiment: Make, tmp_path: Path, overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match="needs an encoder with `blocks`, and toy_frames has none; choose"):
        train(experiment(*overrides), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_an_encoder_without_weights_has_nothing_to_train(experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log_mel has nothing to train in this mode; leave finetune out"):
        train(experiment("upstream=log_mel", "finetune=all"), tmp_path / "run")


def test_an_encoder_without_blocks_can_train_whole(experiment: Make, tmp_path: Path) -> None:
    run = train(experiment("finetune=all", "trainer.steps=2"), tmp_path / "run")
    assert {name for name in last(run) if name.startswith("model/upstream.linears.")}


def test_lora_without_peft_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("peft", "peft.tuners", "peft.tuners.lora"):
        monkeypatch.setitem(sys.modules, name, None)
    upstream = load_upstream("tera", weights="random", **TINY_TERA)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[lora\]"):
        make_trainable(upstream, FinetuneConfig(mode="lora"))


def test_pretraining_has_one_group_and_skips_nothing() -> None:
    from audiossl.experiments.building import build_objective

    options = [f"upstream_options.{name}={value}" for name, value in TINY_TERA.items()]
    task = build_objective(read_experiment(None, options, pretrain=True))
    groups = task.parameter_groups()
    assert [(group.name, group.lr) for group in groups] == [("", None)]
    assert len(groups[0].parameters) == len(list(task.parameters()))
    assert not task.may_skip_parameters
    assert not isinstance(task, Downstream)


WAVEFORM = ["upstream=wav2vec2", *(f"upstream_options.{k}={v}".replace(" ", "") for k, v in TINY_WAVEFORM.items())]
TWO = {
    "all": [*TERA, "finetune=all", "finetune.freeze_steps=3", "trainer.batches_per_step=2"],
    "lora": [*TERA, "finetune=lora", "finetune.freeze_steps=3", "trainer.batches_per_step=2"],
    "layer_drop": [
        *WAVEFORM,
        *("upstream_options.weights=random", "upstream_options.layer_drop=0.5", "upstream_options.mask_time_prob=0.2"),
        *("upstream_options.gradient_checkpointing=true", "upstream_options.mask_time_length=2"),
        *("finetune=all", "trainer.batches_per_step=4", "finetune.freeze_steps=2"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("which", TWO)
def test_two_processes_give_the_losses_of_one(corpus: Path, tmp_path: Path, which: str) -> None:
    base = ["steps=10", "log_every=1", "eval_every=5", "save_every=100", "lr=0.003", "device=cpu"]
    trainer = [f"trainer.{setting}" for setting in base]
    overrides = [f"data.dir={corpus}", "data.batch_size=4", *trainer, *TWO[which]]
    config = read_experiment(None, overrides)
    one = train(config, tmp_path / "one")
    recipe = tmp_path / "recipe.yaml"
    save_yaml(config, recipe)
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--module"]
    command = [sys.executable, "-m", *launcher, "audiossl", "train", str(recipe), "--out", str(tmp_path / "two")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2
    first, second = log_of(one), log_of(tmp_path / "two")
    assert len(first) == len(second) == 10
    for a, b in zip(first, second, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4, abs=1e-5)
        assert b["lr_upstream"] == a["lr_upstream"]
    assert last(one).keys() == last(tmp_path / "two").keys()
    if which == "layer_drop":
        for name, value in last(one).items():  # steps counted by Adam: a block that was dropped everywhere has fewer
            if name.endswith("/step"):
                assert torch.equal(value, last(tmp_path / "two")[name])


@pytest.mark.parametrize("mode", ["all", "norm_and_bias"])
def test_adapters_stand_beside_the_blocks_that_are_run(mode: Any) -> None:
    upstream, wavs, lengths = tiny_waveform(), 0.1 * torch.randn(2, 3000), torch.tensor([3000, 2000])
    plain = upstream(wavs, lengths).layers[-1]
    make_trainable(upstream, FinetuneConfig(mode=mode, adapter_width=4), 2)
    adapters = {name for name, _ in upstream.named_parameters() if ".parallel_adapter." in name}
    assert {name.split(".")[1] for name in adapters} == {"0", "1"}
    assert adapters <= training(upstream)
    with torch.no_grad():
        assert torch.equal(upstream(wavs, lengths).layers[-1], plain)  # nothing at first
        for name, parameter in upstream.named_parameters():
            if name.endswith("parallel_adapter.up.weight"):
                torch.nn.init.normal_(parameter)
        changed = upstream(wavs, lengths)
        assert not torch.allclose(changed.layers[-1], plain, atol=1e-3)
        torch.testing.assert_close(upstream(wavs[1:, :2000]).layers[-1][0], changed.item(1)[-1])  # padding has no say
        with without_adapters(upstream):
            assert torch.equal(upstream(wavs, lengths).layers[-1], plain)
    with pytest.raises(ConfigError, match="has adapters from its earlier training"):
        make_trainable(upstream, FinetuneConfig(mode=mode, adapter_width=4))


def test_adapters_have_their_conditions() -> None:
    with pytest.raises(ConfigError, match="lets nothing train"):
        FinetuneConfig(adapter_width=4)
    foreign = load_upstream("log_mel")
    foreign.blocks = torch.nn.ModuleList([torch.nn.Linear(4, 4)])
    with pytest.raises(ConfigError, match="no place for an adapter"):
        make_trainable(foreign, FinetuneConfig(mode="all", adapter_width=4))


def test_top_blocks_may_begin_anew() -> None:
    """Those that are run for the interface, with the first weights of such an encoder, and nothing else changes."""
    upstream = load_upstream("wav2vec2", weights="random", seed=3, **TINY_WAVEFORM)
    before = {name: tensor.clone() for name, tensor in upstream.state_dict().items()}
    make_trainable(upstream, FinetuneConfig("top_k", top_k=2, reinit_top=1, reinit_seed=5), up_to_layer=2)
    fresh = load_upstream("wav2vec2", weights="random", seed=5, **TINY_WAVEFORM).state_dict()
    for name, tensor in upstream.state_dict().items():
        expected = fresh[name] if name.startswith("blocks.1.") else before[name]
        assert torch.equal(tensor, expected), name
    assert not torch.equal(before["blocks.1.up.weight"], fresh["blocks.1.up.weight"])
    with pytest.raises(ConfigError, match="reinit_top=4: .* runs 3 block"):
        make_trainable(upstream, FinetuneConfig("all", reinit_top=4))
    with pytest.raises(ConfigError, match="draws the weights of blocks anew, which must train"):
        FinetuneConfig("lora", reinit_top=1)
    with pytest.raises(ConfigError, match="which must train"):
        FinetuneConfig("top_k", top_k=1, reinit_top=2)


@pytest.mark.parametrize(("blocks", "trained"), [("0", [0]), ("0-1", [0, 1]), ("-1", [2]), ("0,2", [0, 2])])
def test_blocks_are_named_from_the_bottom(blocks: str, trained: list[int]) -> None:
    upstream = tiny_waveform()
    make_trainable(upstream, FinetuneConfig(mode="blocks", blocks=blocks))
    trains = [any(p.requires_grad for p in block.parameters()) for block in upstream.blocks]
    assert [number for number, each in enumerate(trains) if each] == trained


def test_blocks_that_are_not_there_are_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"finetune\.blocks=3: \w+ runs 3 block\(s\) for this interface, 0 to 2"):
        make_trainable(tiny_waveform(), FinetuneConfig(mode="blocks", blocks="3"))
    with pytest.raises(ConfigError, match="mode blocks needs the blocks that train"):
        FinetuneConfig(mode="blocks")
    with pytest.raises(ConfigError, match="other modes have none"):
        FinetuneConfig(mode="all", blocks="0-2")
