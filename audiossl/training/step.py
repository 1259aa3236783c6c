"""An update: the gradients of the batches of a step, and one move of the optimizer."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiossl.core.tensors import whole
from audiossl.core.types import Batch, Position
from audiossl.training.context import TrainingContext
from audiossl.training.optimizer import schedule_factor, set_learning_rates


class StepResult(NamedTuple):
    """What an update gave.

    figures: numbers for the log, with `loss` and `finite`.
    position: of its last batch.
    stopped: whether a process was asked to stop.
    """

    figures: dict[str, Any]
    position: Position | None
    stopped: bool


Step = Generator[None, None, StepResult]  # of one turn for each batch


class Stepper:
    """Makes the updates of a trainer, by itself. number: of the batch within the step that is being made."""

    def __init__(self) -> None:
        self.number = 0

    def step(self, context: TrainingContext, step: int, batches: Iterator[Batch]) -> Step:
        """Update number `step` (from 0), from this process's share of the next `batches_per_step` batches."""
        model, optimizer = context.prepare()
        if not (model.training and context.task.training):  # a walk through all modules of the encoder
            model.train()
        share = context.config.batches_per_step // context.world
        sums: dict[str, Tensor] = {}
        weight_sum = torch.zeros((), device=context.device)
        # Gradients, losses and logs are summed over items, so that batches of any size make one mean.
        for self.number in range(share):
            if self.number:
                yield
            batch = next(batches).to(context.device)
            context.seed_batch((step * share + self.number) * context.world + context.rank)
            with nullcontext() if self.number == share - 1 else context.accelerator.no_sync(model):
                with context.autocast():
                    loss, weight, logs = model(batch)
                context.accelerator.backward(loss * weight)
            weight_sum += weight.detach()
            for name, value in {"loss": loss, **logs}.items():
                sums[name] = sums.get(name, weight_sum.new_zeros(())) + value.detach().float() * weight
        self.number = 0
        # One message between the processes: all sums, and whether any of them is to stop.
        stop = torch.tensor(float(context.stopping), device=weight_sum.device)
        totals = context.accelerator.reduce(torch.stack([*sums.values(), weight_sum, stop]), "sum")
        weight_sum = totals[-2].clamp(min=1e-12)
        *values, _, stopped = torch.cat([totals[:-1] / weight_sum, totals[-1:]]).tolist()
        means = dict(zip(sums, values, strict=True))
        rates = set_learning_rates(optimizer, schedule_factor(context.config, step))
        # Data-parallel wrappers average over processes; each process summed over its items.
        _scale(optimizer, context.world / weight_sum)
        parts = _norms(context.task.gradient_parts())
        norm = _clip(optimizer, context.config.clip)
        finite = math.isfinite(norm) and math.isfinite(means["loss"])
        if finite:
            optimizer.step()
        optimizer.zero_grad()
        figures = {**means, **rates, "grad_norm": norm, **parts, "finite": finite}
        return StepResult(figures, batch.position, bool(stopped))


def _scale(optimizer: Any, scale: Tensor) -> None:
    """Multiply the gradients by `scale`. A parameter without one stays as it is, and so does its optimizer state."""
    for parameter in _with_gradient(optimizer):
        parameter.grad.mul_(scale)


def _clip(optimizer: Any, most: float) -> float:
    """Clip the joint L2 norm of the gradients to `most` (0: any). Returns the norm before."""
    parameters = _with_gradient(optimizer)
    norm = whole(torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters]))
    torch.nn.utils.clip_grads_with_norm_(parameters, most or math.inf, norm)
    return float(norm)


def _with_gradient(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _norms(parts: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """L2 norm of the gradients of each part that has any, as `grad_norm_<name>`, read back from the device together."""
    gradients = {name: [p.grad for p in part if p.grad is not None] for name, part in parts.items()}
    norms = {name: whole(torch.nn.utils.get_total_norm(part)) for name, part in gradients.items() if part}
    values = torch.stack([*norms.values()]).tolist() if norms else []
    return {f"grad_norm_{name}": value for name, value in zip(norms, values, strict=True)}
