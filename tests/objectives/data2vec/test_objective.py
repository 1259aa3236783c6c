"""data2vec: targets from the equations and from transformers, the teacher, masked copies, and what resumes."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lhotse import MonoCut
from torch import Tensor

from audiossl import Batch, check_objective, load_upstream
from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.types import Position
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.nn.ema import linear_ramp
from audiossl.nn.masked_frames import locate
from audiossl.objectives.data2vec.objective import Data2VecObjective, SelfDistillationConfig
from audiossl.training.testing.common import check_batch

TINY: dict[str, Any] = {
    "conv_widths": (16,) * 7,
    "position_kernel": 15,
    "position_groups": 2,
    "width": 16,
    "num_layers": 3,
    "num_heads": 2,
    "ffn_width": 32,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "feature_dropout": 0.0,
    "layer_drop": 0.0,
}
SECOND: dict[str, Any] = {
    "copies": 3,
    "decoder_layers": 2,
    "decoder_width": 8,
    "decoder_groups": 2,
    "decoder_dropout": 0.0,
    "mask_span": 5,
    "averaged": ("blocks", "position", "norm"),
}


def pretraining(seconds: tuple[float, ...] = (1.0, 0.6), **settings: Any) -> tuple[Data2VecObjective, Batch]:
    torch.manual_seed(0)
    encoder = load_upstream("data2vec", weights="random", **TINY)
    wavs, lengths = pad(noise(encoder, seconds))
    task = Data2VecObjective(encoder, SelfDistillationConfig(**{"top_layers": 2, **settings}))
    cuts = tuple(MonoCut(f"item{number}", start=0, duration=each, channel=0) for number, each in enumerate(seconds))
    return task, Batch(wavs, lengths, cuts, Position(0, 3))


def moved(task: Data2VecObjective) -> Data2VecObjective:
    """With a student that is no longer the teacher."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in task.upstream.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return task


def found_targets(task: Data2VecObjective, batch: Batch) -> tuple[Tensor, Tensor]:
    frames = task.upstream.num_frames(batch.lengths)
    return task.targets(task.encoder.local_features(batch.wavs, batch.lengths), frames), frames


def test_targets_are_those_of_the_equations() -> None:
    """Each item alone, the blocks of the teacher written out."""
    task, batch = pretraining()
    moved(task)
    made, frames = found_targets(task, batch)
    student, teacher = (copy.deepcopy(model).eval() for model in (task.upstream, task.teacher.model))
    with torch.no_grad():
        for item, count in enumerate(frames.tolist()):
            alone = batch.wavs[item : item + 1, : int(batch.lengths[item])]
            local = student.local_features(alone, batch.lengths[item : item + 1])  # type: ignore[operator]
            x: Any = teacher.embed(local)  # type: ignore[operator]
            x = teacher.norm(x + teacher.position(x))  # type: ignore[operator]
            outputs = []
            for block in teacher.blocks:  # type: ignore[union-attr]
                q, k, v = block.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
                attended = (q @ k.transpose(-1, -2) / math.sqrt(8)).softmax(-1) @ v
                x = block.attention_norm(x + block.out(attended.transpose(1, 2).flatten(2)))
                outputs.append(block.down(F.gelu(block.up(x))))
                x = block.ffn_norm(x + outputs[-1])
            normed = [(y - y.mean(1)) / (y.var(1, correction=0) + 1e-5).sqrt() for y in outputs[-2:]]
            torch.testing.assert_close(made[item, :count], (sum(normed) / 2)[0], rtol=1e-4, atol=1e-5)


def test_targets_are_those_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    task, batch = pretraining((1.0,))
    write_folder(task.upstream, tmp_path)
    model = transformers.AutoModel.from_pretrained(tmp_path).eval()
    outputs: list[Tensor] = []
    for layer in model.encoder.layers:
        layer.feed_forward.register_forward_hook(lambda module, given, output: outputs.append(output))
    with torch.no_grad():
        model(task.upstream.normalized(batch.wavs, batch.lengths))  # type: ignore[operator]
    normed = [F.instance_norm(output.transpose(1, 2)).transpose(1, 2) for output in outputs[-2:]]
    torch.testing.assert_close(found_targets(task, batch)[0], sum(normed) / 2, rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_squared_error_of_masked_frames_over_the_root_of_the_width() -> None:
    task, batch = pretraining()
    moved(task).eval()
    loss = task.loss(batch)
    targets, frames = found_targets(task, batch)
    mask = task.masks(batch, 0)
    x = task.fill(task.encoder.embed(task.encoder.local_features(batch.wavs, batch.lengths)), mask)
    states = task.head(task.encoder.contextualize(x, frames, 3)[-1])
    expected = (states - targets)[mask].square().sum(-1).mean() / 4
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert int(loss.weight) == int(mask.sum())
    std = targets[mask].std(0).mean()
    assert float(loss.logs["target_std"]) == pytest.approx(float(std), rel=1e-3)


@pytest.mark.parametrize("settings", [{}, {**SECOND, "decoder_layers": 1}], ids=["first", "second"])
def test_contract(settings: dict[str, Any]) -> None:
    """On an encoder that is quicker than one with a stem of convolutions."""
    torch.manual_seed(0)
    encoder = load_upstream("mel_transformer", weights="random", width=16, num_layers=2, num_heads=2, ffn_width=32)
    config = SelfDistillationConfig(**{"top_layers": 2, "first_tau": 0.9, **settings})
    report = check_objective(moved(Data2VecObjective(encoder, config)))
    assert report.batch_error < 1e-5
    assert not [name for name in report.without_gradient if "mask_embedding" not in name]


@pytest.mark.parametrize("settings", [{}, {"copies": 2}, SECOND], ids=["first", "copies", "second"])
def test_a_batch_is_its_items(settings: dict[str, Any]) -> None:
    task, batch = pretraining(**settings)
    with torch.no_grad():
        assert check_batch(moved(task).eval(), batch, 1e-5) < 1e-5


def test_copies_are_masked_differently_and_share_one_pass_of_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = pretraining(**SECOND)
    passes = []
    model: Any = task.teacher.model
    contextualize = model.contextualize

    def counted(*arguments: Any, **options: Any) -> Any:
        passes.append(arguments)
        return contextualize(*arguments, **options)

    monkeypatch.setattr(model, "contextualize", counted)
    loss = task.loss(batch)
    masks = [task.masks(batch, number) for number in range(3)]
    assert len(passes) == 1
    assert int(loss.weight) == sum(int(mask.sum()) for mask in masks)
    assert not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("settings", [{}, SECOND], ids=["first", "second"])
def test_the_student_does_not_hear_what_is_masked(settings: dict[str, Any]) -> None:
    task, batch = pretraining(**{**settings, "copies": 1})
    task.eval()
    frames = task.upstream.num_frames(batch.lengths)
    masked = locate(task.masks(batch, 0))
    x = task.encoder.embed(task.encoder.local_features(batch.wavs, batch.lengths))
    other = torch.where(masked.mask[..., None], 7.0, x)
    first, second = (task._predictions(each, frames, masked, batch) for each in (x, other))
    assert torch.equal(first, second)


def test_sound_as_short_as_a_span_keeps_a_frame_for_the_decoder() -> None:
    task, batch = pretraining((0.11, 0.02), **SECOND)  # 5 frames and one
    mask = task.masks(batch, 0)
    assert mask.sum(1).tolist() == [4, 0]
    assert bool(task.loss(batch).total.isfinite())


def test_the_teacher_moves_by_the_published_ramp_and_a_resumed_run_goes_on_exactly() -> None:
    task, batch = pretraining(first_tau=0.5, last_tau=0.9, tau_steps=4)
    twin = copy.deepcopy(task)

    def steps(one: Data2VecObjective, numbers: range) -> list[float]:
        losses = []
        for step in numbers:
            one.begin_step(step)
            loss = one.loss(batch).total
            one.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in one.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(0.1 * parameter.grad)
            one.after_step(step)
            losses.append(float(loss.detach()))
        return losses

    before = task.teacher.model.blocks[0].up.weight.clone()  # type: ignore[union-attr, index, operator]
    whole = steps(task, range(6))
    student: Any = twin.upstream
    steps(twin, range(1))
    expected = torch.lerp(before, student.blocks[0].up.weight.detach(), 1 - linear_ramp(0, 0.5, 0.9, 4))
    teacher: Any = twin.teacher.model
    torch.testing.assert_close(teacher.blocks[0].up.weight, expected)
    steps(twin, range(1, 3))
    resumed, _ = pretraining(first_tau=0.5, last_tau=0.9, tau_steps=4)
    resumed.load_trainable_state(twin.trainable_state())
    assert steps(resumed, range(3, 6)) == whole[3:]


def test_a_collapse_stops_the_run_with_the_reason() -> None:
    task, _ = pretraining()
    figures = {"target_std": 0.02, "prediction_std": 0.5}
    task.watch(4999, figures)
    for step in range(5000, 5019):
        task.watch(step, figures)
    with pytest.raises(TrainingError, match="target_std is 0.02 .* let the teacher move more slowly"):
        task.watch(5019, figures)


def test_settings_that_do_not_fit_the_encoder() -> None:
    with pytest.raises(ConfigError, match="top_layers=8 are asked for, and the encoder has 3 blocks"):
        pretraining(top_layers=8)
    with pytest.raises(ConfigError, match="averaged=block: the encoder has no such part, only stem, "):
        pretraining(averaged=("block",))


def test_the_head_of_the_first_version_is_taken() -> None:
    task, _ = pretraining()
    bias = torch.randn(16)
    assert task.take_heads({"final_proj.bias": bias, "final_proj.weight": torch.randn(3, 16)}) == ["head.bias"]
    torch.testing.assert_close(task.get_parameter("head.bias").detach(), bias)
    assert pretraining(**SECOND)[0].take_heads({"final_proj.bias": bias}) == []
