"""Small heads that differ in nothing but their learning rates, computed as one (torch.func, stacked parameters).

All members hold their parameters as slices of one tensor (N, ...). One vectorised forward pass and one backward pass
over a batch give the gradients of all of them, which are clipped together; then each optimizer makes its own update,
with its own learning rate and state, on its own slices. The matrix products are those of separate heads in batches and
the optimizers are fused ones (on a CPU), so results differ from those of separate heads by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from audiossl.core.types import Batch
from audiossl.nn.layer_sum import for_every_type
from audiossl.training.downstream import Downstream
from audiossl.training.optimizer import schedule_factor, set_learning_rates
from audiossl.training.trainer import Step, Stepped, Trainer


class Stack:
    """The heads of `trainers`, which are at the same step, as one. batch_at: a batch by its number within the step."""

    def __init__(self, trainers: Sequence[Trainer], batch_at: Callable[[int, int], Batch]) -> None:
        self.trainers, self._batch_at = list(trainers), batch_at
        self._task, self._config = trainers[0].task, trainers[0].config
        names = [name for name, parameter in self._task.named_parameters() if parameter.requires_grad]
        self._own = {name: [trainer.task.get_parameter(name) for trainer in trainers] for name in names}
        self._whole = {name: _joined(own) for name, own in self._own.items()}  # each (N, ...)
        self._sums: dict[str, Tensor] = {}  # each (N,)
        self._weights = torch.zeros(())
        self._reached = (-1, -1)  # step and number of the batch that was computed last
        self._stepped: dict[Trainer, Stepped] = {}
        slices = {
            parameter: torch.nn.Parameter(part)
            for name, whole in self._whole.items()
            for parameter, part in zip(self._own[name], whole.detach(), strict=True)
        }
        self._updates = _Updates(self.trainers, slices)

    def step_of(self, trainer: Trainer) -> Step:
        """The step that one of the trainers is to make; the first to ask computes it for all."""
        for trainer.number in range(self._config.batches_per_step):
            if trainer.number:
                yield
            if self._reached != (trainer.state.step, trainer.number):
                self._reached = trainer.state.step, trainer.number
                self._advance(*self._reached)
        trainer.number = 0
        return self._stepped.pop(trainer)._replace(stopped=trainer.stopping)

    def _advance(self, step: int, number: int) -> None:
        batch = self._batch_at(step, number)
        self._add(batch, first=number == 0)
        if number == self._config.batches_per_step - 1:
            figures = self._update(schedule_factor(self._config, step))
            made = [Stepped(each, batch.position, False) for each in figures]
            self._stepped = dict(zip(self.trainers, made, strict=True))

    def _add(self, batch: Batch, *, first: bool) -> None:
        """Add losses, logs and gradients of a batch, summed over its items, to those of the step."""
        if not self._task.training:
            self._task.train()
        if first:
            self._sums, self._weights = {}, torch.zeros((), device=batch.lengths.device)
            for whole in self._whole.values():
                whole.grad = None

        def loss(parameters: dict[str, Tensor]) -> Any:
            return functional_call(self._task, parameters, (batch,), tie_weights=False)

        with for_every_type():
            parameters = {name: _turned_all(whole) for name, whole in self._whole.items()}
            losses, weights, logs = vmap(loss)(parameters)  # each (N,)
        (losses * weights).sum().backward()
        self._weights = self._weights + weights.detach()
        for name, values in {"loss": losses, **logs}.items():
            self._sums[name] = self._sums.get(name, 0.0) + values.detach().float() * weights

    def _update(self, factor: float) -> list[dict[str, Any]]:
        """What `Trainer` does after the last batch of a step, for all heads; their figures for the log."""
        weights = self._weights.clamp(min=1e-12)
        grads = {name: whole.grad for name, whole in self._whole.items() if whole.grad is not None}
        norms = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads.values()])
        norm = torch.linalg.vector_norm(norms, dim=0) / weights  # (N,) of the gradient of the mean
        scale = (self._config.clip / (norm + 1e-6)).clamp(max=1) / weights if self._config.clip else 1 / weights
        for name, grad in grads.items():
            grad.mul_(scale.view(-1, *[1] * (grad.ndim - 1)))
            for parameter, part in zip(self._own[name], grad.unbind(), strict=True):
                self._updates.give(parameter, part)
        rows = torch.stack([*(values / weights for values in self._sums.values()), norm], dim=1).tolist()
        figures = []
        for trainer, row in zip(self.trainers, rows, strict=True):
            means = dict(zip([*self._sums, "grad_norm"], row, strict=True))
            rates = set_learning_rates(trainer.optimizer, factor)
            finite = math.isfinite(means["grad_norm"]) and math.isfinite(means["loss"])
            figures.append({**means, **rates, "finite": finite})
            if not finite:
                self._updates.skip(trainer)
        self._updates.step()
        return figures


def _joined(own: Sequence[Tensor]) -> Tensor:
    """One tensor (N, ...), of matrices (N, in, out), that a gradient can be asked for; the members become views of it.

    So vectorised products x W^T give the gradient of W as it lies in memory; else it would be transposed into place.
    """
    whole = torch.stack([_turned(parameter.detach()) for parameter in own])
    for parameter, part in zip(own, whole, strict=True):
        parameter.data = _turned(part)
    return whole.requires_grad_()


def _turned(tensor: Tensor) -> Tensor:
    """A matrix transposed, anything else as it is."""
    return tensor.mT if tensor.ndim == 2 else tensor


def _turned_all(whole: Tensor) -> Tensor:
    """Members as they were: matrices (N, in, out) -> (N, out, in)."""
    return whole.mT if whole.ndim == 3 else whole


class _Updates:
    """The optimizers of all trainers as one, for the slices that their parameters are: a call for each learning rate.

    On a CPU it is fused: one pass over the parameters. What it keeps of a parameter is what the parameter's own
    optimizer keeps (and writes into checkpoints), in the same memory.
    """

    def __init__(self, trainers: Sequence[Trainer], slices: Mapping[Any, torch.nn.Parameter]) -> None:
        self._slices, self._trainers = slices, trainers
        self._followed: list[tuple[dict[str, Any], dict[str, Any]]] = []
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for trainer in trainers:
            for own in trainer.optimizer.param_groups:
                key = id(trainer), own["peak_lr"], own["weight_decay"]  # of matrices and of vectors; often the same
                if key not in groups:
                    fused = trainer.accelerator.device.type == "cpu" or own["fused"]
                    groups[key] = {**own, "params": [], "fused": fused}
                    self._followed.append((groups[key], own))
                groups[key]["params"] += [slices[parameter] for parameter in own["params"]]
        kind: Any = type(trainers[0].optimizer)
        self._optimizer: torch.optim.Optimizer = kind(list(groups.values()))
        for trainer in trainers:
            for parameter in _parameters(trainer):
                kept = trainer.optimizer.state[parameter]
                if kept:
                    self._optimizer.state[slices[parameter]] = turned = {
                        name: _turned(value).contiguous() for name, value in kept.items()
                    }
                    kept.update({name: _turned(value) for name, value in turned.items()})

    def give(self, parameter: Tensor, gradient: Tensor) -> None:
        """The gradient of a parameter's slice."""
        parameter.grad = _turned(gradient)  # which says that its learning rate is in use
        self._slices[parameter].grad = gradient

    def skip(self, trainer: Trainer) -> None:
        """Let the head of a trainer stay as it is in the coming step."""
        for parameter in _parameters(trainer):
            self._slices[parameter].grad = None

    def step(self) -> None:
        """Update everything that was given a gradient."""
        for merged, own in self._followed:
            merged["lr"] = own["lr"]
        self._optimizer.step()
        self._optimizer.zero_grad()
        for trainer in self._trainers:
            for parameter in _parameters(trainer):
                parameter.grad = None
                if not trainer.optimizer.state[parameter]:
                    made = self._optimizer.state[self._slices[parameter]]
                    trainer.optimizer.state[parameter] = {name: _turned(value) for name, value in made.items()}


def _parameters(trainer: Trainer) -> Iterator[Tensor]:
    return (parameter for group in trainer.optimizer.param_groups for parameter in group["params"])


def set_alone(trainer: Trainer) -> None:
    """Undo what a stack did to a trainer."""
    trainer.together = None
    for parameter in _parameters(trainer):
        parameter.data = parameter.data.contiguous()
        kept = trainer.optimizer.state[parameter]
        kept.update({name: value.contiguous() for name, value in kept.items()})


class Stacks:
    """Which of the trainers that share a pass are computed as one, from step to step.

    kinds: what those have in common; batch_at: a batch by its step and its number within that.
    """

    def __init__(self, kinds: Mapping[Trainer, Hashable], batch_at: Callable[[int, int], Batch]) -> None:
        self._kinds, self._batch_at = kinds, batch_at
        self._stacks: dict[Hashable, Stack] = {}

    def arrange(self, trainers: Sequence[Trainer]) -> None:
        """For the step that all of these are about to make."""
        groups: dict[Hashable, list[Trainer]] = {}
        for trainer in trainers:
            if trainer in self._kinds:
                groups.setdefault(self._kinds[trainer], []).append(trainer)
        for kind, members in groups.items():
            known = self._stacks.pop(kind, None)
            if len(members) == 1:
                if members[0].together:
                    set_alone(members[0])
                continue
            stack = known if known is not None and known.trainers == members else Stack(members, self._batch_at)
            self._stacks[kind] = stack
            for trainer in members:
                trainer.together = partial(stack.step_of, trainer)


def may_be_stacked(trainer: Trainer) -> bool:
    """Whether a head may be computed together with others that differ from it in the values of their parameters."""
    task = trainer.task
    able = isinstance(task, Downstream) and task.stackable and task.interface.stackable
    return able and trainer.config.precision == "fp32"
