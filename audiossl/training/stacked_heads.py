"""Small heads that differ in nothing but their learning rates, computed as one (torch.func, stacked parameters).

All members hold their parameters as slices of one tensor (N, ...). One vectorised forward pass and one backward pass
over a batch give the gradients of all of them, which are clipped together. Then each optimizer makes its own update,
with its own learning rate and state, on its own slices. The matrix products are those of separate heads in batches and
the optimizers are fused ones (on a CPU), so results differ from those of separate heads by rounding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from audiossl.core.types import Batch
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.downstream import Downstream
from audiossl.training.optimizer import schedule_factor, set_learning_rates
from audiossl.training.step import Step, Stepper, StepResult
from audiossl.training.task import Task
from audiossl.training.trainer import Trainer


def may_be_stacked(task: Task, config: TrainerConfig) -> bool:
    """Whether a head may be computed together with others that differ from it in the values of their parameters.

    A task with an `after_step` of its own may not: what that changes in one head, the stack does not have. Nor may one
    with an adversary, whose weight is a number outside of its parameters.
    """
    able = isinstance(task, Downstream) and task.stackable and task.interface.stackable and task.adversary is None
    return able and type(task).after_step is Task.after_step and config.precision == "fp32"


class Stack:
    """The heads of `contexts`, which are at the same step, as one."""

    def __init__(self, contexts: Sequence[TrainingContext]) -> None:
        self.contexts = list(contexts)
        first = contexts[0].task
        names = [name for name, parameter in first.named_parameters() if parameter.requires_grad]
        self._task, self._config = _copy_of(first), contexts[0].config
        self._own = {name: [context.task.get_parameter(name) for context in contexts] for name in names}
        self._whole = {name: _joined(own) for name, own in self._own.items()}  # each (N, ...)
        self._sums: dict[str, Tensor] = {}  # each (N,)
        self._weights = torch.zeros(())
        self._reached = (-1, -1)  # step and number of the batch that was computed last
        self._results: dict[TrainingContext, StepResult] = {}
        slices = {
            parameter: torch.nn.Parameter(part)
            for name, whole in self._whole.items()
            for parameter, part in zip(self._own[name], whole.detach(), strict=True)
        }
        self._updates = _Updates(self.contexts, slices)

    def compute(self, step: int, number: int, batch: Batch) -> None:
        """Batch `number` of a step for all heads, and after the last the update. Who comes later finds it done."""
        if self._reached == (step, number):
            return
        self._reached = step, number
        if number == 0:
            self._task.begin_step(step)
        self._accumulate(batch, first=number == 0)
        if number == self._config.batches_per_step - 1:
            figures = self._update(schedule_factor(self._config, step))
            results = [StepResult(each, batch.position, False) for each in figures]
            self._results = dict(zip(self.contexts, results, strict=True))

    def take(self, context: TrainingContext) -> StepResult:
        """What the computed step gave for one of the heads. Each asks once."""
        return self._results.pop(context)._replace(stopped=context.stopping)

    def _accumulate(self, batch: Batch, *, first: bool) -> None:
        """Add losses, logs and gradients of a batch, summed over its items, to those of the step."""
        if first:
            self._sums, self._weights = {}, torch.zeros((), device=batch.lengths.device)
            for whole in self._whole.values():
                whole.grad = None

        def loss(parameters: dict[str, Tensor]) -> Any:
            return functional_call(self._task, parameters, (batch,), tie_weights=False)

        parameters = {name: _turned_all(whole) for name, whole in self._whole.items()}
        losses, weights, logs = vmap(loss)(parameters)  # each (N,)
        (losses * weights).sum().backward()
        self._weights = self._weights + weights.detach()
        for name, values in {"loss": losses, **logs}.items():
            self._sums[name] = self._sums.get(name, 0.0) + values.detach().float() * weights

    def _update(self, factor: float) -> list[dict[str, Any]]:
        """What `Stepper` does after the last batch of a step, for all heads. Returns their figures for the log."""
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
        for context, row in zip(self.contexts, rows, strict=True):
            means = dict(zip([*self._sums, "grad_norm"], row, strict=True))
            rates = set_learning_rates(context.optimizer, factor)
            finite = math.isfinite(means["grad_norm"]) and math.isfinite(means["loss"])
            figures.append({**means, **rates, "finite": finite})
            if not finite:
                self._updates.skip(context)
        self._updates.step()
        return figures


def _copy_of(task: Task) -> Task:
    """A head that computes for all of a stack: modules of its own, on the shared encoder and its answers."""
    assert isinstance(task, Downstream)
    shared = [task.upstream, task.encoder]
    copied = copy.deepcopy(task, {id(each): each for each in shared})
    copied.interface.stacked = True
    return copied.train()


def _joined(own: Sequence[Tensor]) -> Tensor:
    """One tensor (N, ...), of matrices (N, in, out), that a gradient can be asked for. The members become views of it.

    So vectorised products x W^T give the gradient of W as it lies in memory. Else it would be transposed in place.
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
    """The optimizers of all heads as one, for the slices that their parameters are: a call for each learning rate.

    On a CPU it is fused: one pass over the parameters. What it keeps of a parameter is what the parameter's own
    optimizer keeps (and writes into checkpoints), in the same memory.
    """

    def __init__(self, contexts: Sequence[TrainingContext], slices: Mapping[Any, torch.nn.Parameter]) -> None:
        self._slices, self._contexts = slices, contexts
        self._followed: list[tuple[dict[str, Any], dict[str, Any]]] = []
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for context in contexts:
            for own in context.optimizer.param_groups:
                key = id(context), own["peak_lr"], own["weight_decay"]  # of matrices and of vectors; often the same
                if key not in groups:
                    fused = context.device.type == "cpu" or own["fused"]
                    groups[key] = {**own, "params": [], "fused": fused}
                    self._followed.append((groups[key], own))
                groups[key]["params"] += [slices[parameter] for parameter in own["params"]]
        kind: Any = type(contexts[0].optimizer)
        self._optimizer: torch.optim.Optimizer = kind(list(groups.values()))
        for context in contexts:
            for parameter in _parameters(context):
                kept = context.optimizer.state[parameter]
                if kept:
                    self._optimizer.state[slices[parameter]] = turned = {
                        name: _turned(value).contiguous() for name, value in kept.items()
                    }
                    kept.update({name: _turned(value) for name, value in turned.items()})

    def give(self, parameter: Tensor, gradient: Tensor) -> None:
        """The gradient of a parameter's slice."""
        parameter.grad = _turned(gradient)  # which says that its learning rate is in use
        self._slices[parameter].grad = gradient

    def skip(self, context: TrainingContext) -> None:
        """Let the head stay as it is in the coming step."""
        for parameter in _parameters(context):
            self._slices[parameter].grad = None

    def step(self) -> None:
        """Update everything that was given a gradient."""
        for merged, own in self._followed:
            merged["lr"] = own["lr"]
        self._optimizer.step()
        self._optimizer.zero_grad()
        for context in self._contexts:
            for parameter in _parameters(context):
                parameter.grad = None
                if not context.optimizer.state[parameter]:
                    made = self._optimizer.state[self._slices[parameter]]
                    context.optimizer.state[parameter] = {name: _turned(value) for name, value in made.items()}


def _parameters(context: TrainingContext) -> Iterator[Tensor]:
    return (parameter for group in context.optimizer.param_groups for parameter in group["params"])


def _set_alone(context: TrainingContext) -> None:
    """Undo what a stack did to the parameters and the optimizer state of a head."""
    for parameter in _parameters(context):
        parameter.data = parameter.data.contiguous()
        kept = context.optimizer.state[parameter]
        kept.update({name: value.contiguous() for name, value in kept.items()})


class StackableStepper(Stepper):
    """Makes the updates of a head that may be computed as one with others of its `kind`.

    stack: those with which it is now, as `Stacks` says.
    """

    def __init__(self, kind: Hashable) -> None:
        super().__init__()
        self.kind = kind
        self.stack: Stack | None = None

    def step(self, context: TrainingContext, step: int, batches: Iterator[Batch]) -> Step:
        """As `Stepper.step`. In a stack, the first head to come to a batch computes it for all."""
        if self.stack is None:
            return (yield from super().step(context, step, batches))
        for self.number in range(context.config.batches_per_step):
            if self.number:
                yield
            self.stack.compute(step, self.number, next(batches))
        self.number = 0
        return self.stack.take(context)


class Stacks:
    """Which of the heads that share a pass are computed as one, from step to step."""

    def __init__(self) -> None:
        self._stacks: dict[Hashable, Stack] = {}

    def arrange(self, trainers: Sequence[Trainer]) -> None:
        """Form stacks of those with a stackable stepper, for the step that they are about to make."""
        groups: dict[Hashable, list[tuple[TrainingContext, StackableStepper]]] = {}
        for trainer in trainers:
            if isinstance(trainer.stepper, StackableStepper):
                groups.setdefault(trainer.stepper.kind, []).append((trainer.context, trainer.stepper))
        for kind, members in groups.items():
            known = self._stacks.pop(kind, None)
            contexts = [context for context, _ in members]
            if len(members) == 1:
                context, stepper = members[0]
                if stepper.stack is not None:
                    stepper.stack = None
                    _set_alone(context)
                continue
            stack = known if known is not None and known.contexts == contexts else Stack(contexts)
            self._stacks[kind] = stack
            for _, stepper in members:
                stepper.stack = stack
