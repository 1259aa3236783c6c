"""An update: the gradient of the mean over the items of its batches, clipped, or skipped where it is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from toys.core import ToyTask, factor_at, toy_batches

from audiossl.core.types import Batch, Loss, Position
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.step import Stepper, StepResult
from audiossl.training.task import ParameterGroup

PLAIN_SGD = {"optimizer": "sgd", "betas": (0.0, 0.0), "lr": 1.0, "clip": 0.0}


def context_of(task: ToyTask, **settings: Any) -> TrainingContext:
    return TrainingContext(task, TrainerConfig(**{"steps": 12, "lr": 0.05, "device": "cpu", **settings}), seed=0)


def finish(step: Any) -> tuple[StepResult, int]:
    """What an update gave, and how many turns came before its last batch."""
    turns = 0
    while True:
        try:
            next(step)
        except StopIteration as end:
            return end.value, turns
        turns += 1


def update(context: TrainingContext, number: int = 0, batches: Iterator[Batch] | None = None) -> StepResult:
    return finish(Stepper().step(context, number, batches or toy_batches()(None, 0, 1)))[0]


def weights(task: ToyTask) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def joined(batches: Iterator[Batch], number: int) -> Iterator[Batch]:
    """As many batches as one."""
    while True:
        parts = [next(batches) for _ in range(number)]
        wavs = torch.cat([part.wavs for part in parts])
        yield Batch(wavs, torch.full((len(wavs),), 4), (), parts[-1].position)


@pytest.mark.parametrize("settings", [PLAIN_SGD, {"optimizer": "adam"}, {"clip": 0.01}], ids=["sgd", "adam", "clip"])
def test_the_gradients_of_several_batches_are_those_of_one_big_batch(settings: dict[str, Any]) -> None:
    """Batches of 2, 3 and 4 items: the mean is over items, not over batches."""
    small, big = ToyTask(dropout=0.0), ToyTask(dropout=0.0)
    one, two = context_of(small, batches_per_step=3, **settings), context_of(big, **settings)
    batches, whole = toy_batches()(None, 0, 1), joined(toy_batches()(None, 0, 1), 3)
    for number in range(4):
        first, second = update(one, number, batches), update(two, number, whole)
        for name in ("loss", "guess", "grad_norm"):
            assert first.figures[name] == pytest.approx(second.figures[name], abs=1e-5)
        assert first.position == second.position == Position((3 * number + 2) // 7, (3 * number + 2) % 7)
    torch.testing.assert_close(small.state_dict(), big.state_dict(), atol=1e-5, rtol=1e-5)


def test_the_figures_are_means_over_items() -> None:
    task = ToyTask(dropout=0.0)
    batches = [batch for batch, _ in zip(toy_batches()(None, 0, 1), range(3), strict=False)]
    losses = [task.loss(batch) for batch in batches]
    total = sum(float(loss.weight) for loss in losses)
    expected = sum(float(loss.total.detach() * loss.weight) for loss in losses) / total
    figures = update(context_of(task, batches_per_step=3), 0, iter(batches)).figures
    assert figures["loss"] == pytest.approx(expected)
    assert figures["guess"] == pytest.approx(sum(float(x.logs["guess"].detach() * x.weight) for x in losses) / total)
    assert figures["finite"] is True
    assert figures.keys() == {"loss", "guess", "lr", "grad_norm", "finite"}


def test_there_is_a_turn_between_batches_and_the_last_batch_ends_the_step() -> None:
    stepper, seen = Stepper(), []
    task = ToyTask(hook=lambda done: seen.append(stepper.number))
    result, turns = finish(stepper.step(context_of(task, batches_per_step=3), 0, toy_batches()(None, 0, 1)))
    assert (turns, seen, stepper.number) == (2, [0, 1, 2], 0)
    assert result.position == Position(0, 2)


def test_what_is_random_follows_from_the_running_number_of_the_batch() -> None:
    """The second batch of step 2 is batch 5, as the first of step 5 where a step has one."""

    class Drawing(ToyTask):
        drawn: list[float]

        def loss(self, batch: Batch) -> Loss:
            self.drawn.append(float(torch.rand(())))
            return super().loss(batch)

    def drawn(step: int, batches_per_step: int) -> list[float]:
        task = Drawing()
        task.drawn = []
        update(context_of(task, batches_per_step=batches_per_step), step)
        return task.drawn

    assert drawn(2, 2)[1:] == drawn(5, 1)
    assert drawn(2, 2) == drawn(2, 2)
    assert len({*drawn(0, 2), *drawn(1, 2)}) == 4


@pytest.mark.parametrize("clip", [0.01, 0.0])
def test_clipping_bounds_the_step_and_the_figures_have_the_norm_before_it(clip: float) -> None:
    task = ToyTask(dropout=0.0)
    before = weights(task)
    norm = update(context_of(task, **{**PLAIN_SGD, "clip": clip})).figures["grad_norm"]
    moved = math.sqrt(sum(float((value - before[name]).square().sum()) for name, value in task.state_dict().items()))
    assert norm > 0.1
    assert moved == pytest.approx(clip or norm, rel=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_step_that_is_not_finite_changes_nothing(value: float) -> None:
    task = ToyTask(hook=factor_at({2: value}))
    context, batches = context_of(task, optimizer="adamw", weight_decay=0.1), toy_batches()(None, 0, 1)
    update(context, 0, batches)
    before, state = weights(task), context.optimizer.state_dict()["state"][0]["exp_avg"].clone()
    figures = update(context, 1, batches).figures
    assert not figures["finite"]
    assert not math.isfinite(figures["loss"])
    assert equal(before, task.state_dict())
    assert torch.equal(context.optimizer.state_dict()["state"][0]["exp_avg"], state)
    assert all(parameter.grad is None for parameter in task.parameters())  # which would spoil the next step
    assert update(context, 2, batches).figures["finite"]
    assert not equal(before, task.state_dict())


def test_one_bad_batch_spoils_the_step_that_it_is_in() -> None:
    task = ToyTask(hook=factor_at({1: math.nan}))
    before = weights(task)
    assert not update(context_of(task, batches_per_step=2)).figures["finite"]
    assert task.num_losses == 2
    assert equal(before, task.state_dict())


def test_a_loss_that_is_not_finite_is_skipped_even_where_its_gradient_is() -> None:
    class Offset(ToyTask):
        def loss(self, batch: Batch) -> Loss:
            loss = super().loss(batch)
            return Loss(loss.total + math.inf, loss.weight)

    task = Offset()
    before = weights(task)
    figures = update(context_of(task)).figures
    assert math.isfinite(figures["grad_norm"]) and not figures["finite"]
    assert equal(before, task.state_dict())


def test_a_gradient_that_is_not_finite_is_skipped_even_where_the_loss_is() -> None:
    class Steep(ToyTask):
        def loss(self, batch: Batch) -> Loss:
            loss = super().loss(batch)
            return Loss(loss.total + (0 * self.out.bias).sqrt().sum(), loss.weight)  # infinitely steep at zero

    task = Steep()
    before = weights(task)
    figures = update(context_of(task)).figures
    assert math.isfinite(figures["loss"])
    assert not math.isfinite(figures["grad_norm"])
    assert not figures["finite"]
    assert equal(before, task.state_dict())


def test_a_parameter_without_a_gradient_stays_and_has_no_state() -> None:
    """Not even weight decay and momentum move it, and the log says that its rate is zero."""

    class Half(ToyTask):
        frozen = False

        def parameter_groups(self) -> list[ParameterGroup]:
            return [
                ParameterGroup("", list(self.out.parameters())),
                ParameterGroup("inner", list(self.linear.parameters())),
            ]

        def loss(self, batch: Batch) -> Loss:
            loss = super().loss(batch)
            if self.frozen:
                guess = self.out(self.linear(batch.wavs).tanh().detach()).squeeze(-1)
                return Loss(guess.square().mean(), loss.weight)
            return loss

    task = Half()
    context = context_of(task, optimizer="adamw", weight_decay=0.5)
    task.frozen = True
    before = weights(task)
    figures = update(context, 0).figures
    assert (figures["lr"], figures["lr_inner"]) == (0.05, 0.0)
    assert torch.equal(task.linear.weight, before["linear.weight"])
    assert not torch.equal(task.out.weight, before["out.weight"])
    assert task.linear.weight not in context.optimizer.state
    task.frozen = False
    assert update(context, 1).figures["lr_inner"] == 0.05
    assert not torch.equal(task.linear.weight, before["linear.weight"])
    steps = [int(context.optimizer.state[part.weight]["step"]) for part in (task.linear, task.out)]
    assert steps == [1, 2]


def test_the_rate_is_that_of_the_update() -> None:
    context = context_of(ToyTask(), schedule="linear", warmup_steps=4, lr=0.4)
    assert [update(context, number).figures["lr"] for number in (0, 3, 4, 8)] == pytest.approx([0.1, 0.4, 0.4, 0.2])


def test_a_step_trains_in_training_mode_and_ends_where_it_is_asked_to() -> None:
    task = ToyTask().eval()
    context = context_of(task)
    assert not update(context).stopped
    assert task.training
    context.stopping = True
    result = update(context, 1)
    assert result.stopped
    assert result.figures["finite"]  # it was made
