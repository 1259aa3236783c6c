"""Heads that are computed as one: by rounding what they would be alone, and by themselves again when they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys.heads import STEPS, CountingUpstream, ToyHead, config_of, dev, log_of, noise, stream

from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch, Loss
from audiossl.training.prediction import predict_all
from audiossl.training.shared_pass import SharedHead, SharedPass
from audiossl.training.stacked_heads import StackableStepper, may_be_stacked

RATES = (0.05, 0.01, 0.001)


def train(
    folder: Path, kind: str | None, tasks: Sequence[ToyHead], rates: Sequence[float] = RATES, **settings: Any
) -> SharedPass:
    """Train heads that differ in their rates: as one where they have a kind."""
    heads = [
        SharedHead(task, config_of(lr=rate, **settings), folder / str(rate), kind)
        for task, rate in zip(tasks, rates, strict=True)
    ]
    shared = SharedPass(heads, stream, dev)
    while len(shared):
        shared.turn()
    return shared


def toys(upstream: CountingUpstream, number: int = 3, **options: Any) -> list[ToyHead]:
    return [ToyHead(upstream, **options) for _ in range(number)]


def weights(run: Path, name: str = "last") -> dict[str, Tensor]:
    return read_tensors(run / "checkpoints" / f"{name}.safetensors")[0]


def assert_close_runs(first: Path, second: Path) -> None:
    for one, two in zip(log_of(first), log_of(second), strict=True):
        assert (one.pop("split"), one.pop("finite")) == (two.pop("split"), two.pop("finite"))
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{}, {"batches_per_step": 2, "optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "sgd", "clip": 0.01}],
    ids=["adam", "adamw, two batches", "sgd, clipped"],
)
def test_as_one_they_are_what_they_are_in_turns(tmp_path: Path, settings: dict[str, Any]) -> None:
    turns, one = toys(CountingUpstream()), toys(CountingUpstream())
    train(tmp_path / "turns", None, turns, **settings)
    train(tmp_path / "one", "all", one, **settings)
    for rate in RATES:
        assert_close_runs(tmp_path / "turns" / str(rate), tmp_path / "one" / str(rate))
    assert {head.num_losses for head in turns} == {STEPS * settings.get("batches_per_step", 1)}
    assert {head.num_losses for head in one} == {0}  # a copy made the steps


def test_heads_of_several_kinds_are_several_stacks(tmp_path: Path) -> None:
    upstream = CountingUpstream()
    wide = toys(upstream, 2, interface="concat", width=5)
    heads = [
        SharedHead(task, config_of(lr=rate), tmp_path / f"{kind}-{rate}", kind)
        for kind, tasks in (("sum", toys(upstream, 2)), ("wide", wide))
        for task, rate in zip(tasks, RATES, strict=False)
    ]
    shared = SharedPass(heads, stream, dev)
    shared.turn()
    stacks = [trainer.stepper.stack for trainer in shared.trainers if isinstance(trainer.stepper, StackableStepper)]
    assert stacks[0] is stacks[1] is not None
    assert stacks[2] is stacks[3] is not None
    assert stacks[0] is not stacks[2]
    while len(shared):
        shared.turn()
    for rate, kind in zip(RATES[:2], ("sum", "sum"), strict=True):
        train(tmp_path / "alone", None, toys(CountingUpstream(), 1), [rate])
        assert_close_runs(tmp_path / "alone" / str(rate), tmp_path / f"{kind}-{rate}")


def test_a_stack_changes_the_sum_of_nobody_else(tmp_path: Path) -> None:
    """float32 layers are summed by one product in the stack's own head; evaluations sum layer by layer as ever."""
    summed_as_one: list[bool] = []

    class Watching(ToyHead):
        def loss(self, batch: Batch) -> Loss:
            summed_as_one.append(self.interface.stacked)
            return super().loss(batch)

    upstream = CountingUpstream()
    heads = [Watching(upstream) for _ in RATES]
    shared = train(tmp_path, "all", heads)
    assert summed_as_one == [True] * STEPS
    assert not any(head.interface.stacked for head in heads)
    for head, rate in zip(heads, RATES, strict=True):
        fresh = ToyHead(upstream)
        fresh.load_trainable_state(weights(tmp_path / str(rate), "best"))
        best = min(log_of(tmp_path / str(rate), "dev"), key=lambda line: line["error"])
        assert fresh.score(predict_all(fresh, lambda: dev(None, 0, 1)))["error"].value == best["error"]
        assert torch.equal(head.interface(head.features(noise(0, None))), _layer_by_layer(head))
    assert shared.take_failed() == []


def _layer_by_layer(head: ToyHead) -> Tensor:
    features = head.features(noise(0, None))
    total: Any = 0.0
    for weight, layer in zip(head.interface.sum.weights.split(1), features.layers, strict=True):  # type: ignore
        total = total + weight * layer
    return total  # type: ignore[no-any-return]


def test_the_flag_of_the_sum_changes_how_it_is_computed() -> None:
    """Otherwise the test above would say nothing."""
    head = ToyHead(CountingUpstream())
    with torch.no_grad():
        head.interface.sum.logits.copy_(torch.tensor([0.3, -0.2, 0.1]))  # type: ignore[union-attr,operator]
    features = head.features(noise(0, None))
    plain = head.interface(features)
    head.interface.stacked = True
    stacked = head.interface(features)
    torch.testing.assert_close(stacked, plain, rtol=1e-5, atol=1e-6)
    assert type(stacked.grad_fn) is not type(plain.grad_fn)  # rounding need not differ on every processor


def test_heads_that_leave_let_the_last_one_go_on_by_itself(tmp_path: Path) -> None:
    """By patience: the small rates gain nothing."""
    settings = {"eval_every": 1, "patience": 2, "steps": 8}
    rates = (0.05, 1e-12)
    turns, one = toys(CountingUpstream(), 2), toys(CountingUpstream(), 2)
    train(tmp_path / "turns", None, turns, rates, **settings)
    shared = train(tmp_path / "one", "all", one, rates, **settings)
    steps = {rate: log_of(tmp_path / "turns" / str(rate))[-1]["step"] for rate in rates}
    assert steps[1e-12] < steps[0.05]
    for rate in rates:
        assert_close_runs(tmp_path / "turns" / str(rate), tmp_path / "one" / str(rate))
    (last, *_) = shared.trainers
    assert isinstance(last.stepper, StackableStepper)
    assert last.stepper.stack is None
    assert all(parameter.is_contiguous() for parameter in last.task.parameters())
    assert one[0].num_losses == steps[0.05] - steps[1e-12]  # those that it made alone


def test_a_head_that_is_not_finite_stays_as_it_is_and_the_other_moves(tmp_path: Path) -> None:
    heads = toys(CountingUpstream(), 2)
    with torch.no_grad():
        heads[1].out.bias.fill_(math.inf)
    before = {name: value.clone() for name, value in heads[1].trainable_state().items()}
    shared = train(tmp_path / "one", "all", heads, RATES[:2], max_nonfinite=2)
    ((failed, error),) = shared.take_failed()
    assert failed is shared.trainers[1]
    assert "not finite in 2 steps on end, up to step 2" in str(error)
    assert all(torch.equal(before[name], value) for name, value in heads[1].trainable_state().items())
    train(tmp_path / "alone", None, toys(CountingUpstream(), 1), RATES[:1])
    assert_close_runs(tmp_path / "alone" / str(RATES[0]), tmp_path / "one" / str(RATES[0]))


def test_what_begins_a_step_is_told_to_the_head_that_computes_all(tmp_path: Path) -> None:
    class Growing(ToyHead):
        def begin_step(self, step: int) -> None:
            super().begin_step(step)
            self.scale = 1.0 + step

    def heads() -> list[ToyHead]:
        upstream = CountingUpstream()
        return [Growing(upstream) for _ in RATES]

    train(tmp_path / "turns", None, heads())
    train(tmp_path / "one", "all", heads())
    for rate in RATES:
        assert_close_runs(tmp_path / "turns" / str(rate), tmp_path / "one" / str(rate))


def test_what_may_be_computed_as_one() -> None:
    class Following(ToyHead):
        def after_step(self, step: int) -> None:
            self.scale = 1.0 + step

    upstream = CountingUpstream()
    assert may_be_stacked(ToyHead(upstream), config_of())
    assert not may_be_stacked(ToyHead(upstream), config_of(precision="bf16"))
    assert not may_be_stacked(ToyHead(upstream, dropout=0.1), config_of())
    assert not may_be_stacked(ToyHead(upstream, "cls_pooling", num_heads=2), config_of())
    assert not may_be_stacked(Following(upstream), config_of())


def test_a_stack_shares_the_encoder_and_what_it_remembers(tmp_path: Path) -> None:
    upstream = CountingUpstream()
    train(tmp_path, "all", toys(upstream))
    assert upstream.runs == [2] * (STEPS + 2 * 2)
    assert math.isfinite(log_of(tmp_path / "0.05")[-1]["loss"])
