"""What the checks of tasks, interfaces and objectives share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from audiossl.core.types import Batch, Loss
from audiossl.encoders.testing import relative_distance
from audiossl.training.task import Task


def check_loss_type(loss: object) -> None:
    """Assert that it is a Loss of two scalars."""
    assert isinstance(loss, Loss), f"loss must give a Loss, not a {type(loss).__name__}."
    for name, value in (("total", loss.total), ("weight", loss.weight)):
        assert isinstance(value, Tensor) and value.shape == (), f"The {name} of a Loss must be a scalar tensor."


def item_of(batch: Batch, index: int) -> Batch:
    """One item of a batch, without its padding."""
    one = slice(index, index + 1)
    wavs = batch.wavs[one, : int(batch.lengths[index])]
    return Batch(wavs, batch.lengths[one], batch.cuts[one], batch.position)


def fit(task: Task, batch: Batch) -> None:
    """Let a task estimate its statistics from one batch, after which it must have all it needs."""
    with torch.no_grad():
        task.eval().fit([batch])
    assert not task.needs_fit, "needs_fit is still True after `fit`."


def forget(state: dict[str, Tensor]) -> None:
    """Set tensors to zero, in place: a load that leaves one out then shows."""
    with torch.no_grad():
        for tensor in state.values():
            tensor.zero_()


def check_batch(task: Task, batch: Batch, tolerance: float) -> float:
    """Assert that a batch's loss is that of its items averaged by weight, with its own padding and with more.

    Returns the larger relative error of the two.
    """
    items = [task.loss(item_of(batch, index)) for index in range(len(batch))]
    weight = sum(float(item.weight) for item in items)
    mean = sum(float(item.total) * float(item.weight) for item in items) / max(weight, 1e-30)
    more = nn.functional.pad(batch.wavs, (0, batch.wavs.shape[1] // 2))
    worst = 0.0
    for given, what in ((batch, "a batch"), (replace(batch, wavs=more), "a batch with more padding")):
        loss = task.loss(given)
        error = abs(float(loss.total) - mean) / max(abs(mean), 1e-30)
        fault = f"The loss of {what} is {float(loss.total):.7g} over {float(loss.weight):g}, that of its items averaged"
        assert error <= tolerance and math.isclose(float(loss.weight), weight, rel_tol=1e-5), (
            f"{fault} by weight {mean:.7g} over {weight:g}: mask what lies beyond each item's frames, average over "
            f"what `weight` counts, and draw for each item by itself."
        )
        worst = max(worst, error)
    return worst


def losses_of_steps(task: Task, batch: Batch, steps: int, lr: float) -> list[float]:
    """Train by Adam on one batch.

    task: what trains.
    batch: the same in every step.
    steps: how many updates there are.
    lr: their learning rate.
    Returns the loss before each of the steps, and after the last.
    """
    optimizer = torch.optim.Adam([p for p in task.train().parameters() if p.requires_grad], lr=lr)
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        for step in range(steps + 1):
            task.begin_step(step)
            loss = task.loss(batch)
            losses.append(float(loss.total.detach()))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
    assert all(map(math.isfinite, losses)), f"The loss does not stay finite: {losses}."
    return losses


def check_stacked(module: nn.Module, given: Any, loss_of: Callable[[Any], Tensor], tolerance: float) -> None:
    """Assert that two sets of parameters at once, by `vmap`, give what each gives alone.

    module: what claims to be stackable.
    given: the argument of its `forward`.
    loss_of: from what that returns to a number.
    tolerance: relative L2 distance of the numbers.
    """
    own = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if not own:
        return
    draw = torch.Generator().manual_seed(0)
    others = {name: p + 0.1 * torch.randn(p.shape, generator=draw) for name, p in own.items()}
    alone = torch.stack([loss_of(functional_call(module, one, (given,))) for one in (own, others)])
    both = {name: torch.stack([own[name], others[name]]) for name in own}
    try:
        together = vmap(lambda one: loss_of(functional_call(module, one, (given,))))(both)
    except RuntimeError as error:
        raise AssertionError(f"stackable is claimed, but `vmap` fails: {str(error).splitlines()[0]}") from error
    distance = relative_distance(together, alone)
    assert distance <= tolerance, f"stackable is claimed, but computed as one the members are {distance:.1e} off."
