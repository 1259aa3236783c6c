"""Small heads that differ in nothing but their learning rates, computed as one (torch.func, stacked parameters).

All members hold their parameters as slices of one tensor (N, ...). One vectorised forward pass and one backward pass
over a batch give the gradients of all of them, which are clipped together; then each optimizer makes its own update,
with its own learning rate and state, on its own slices. The matrix products are those of separate heads in batches and
the optimizers are fused ones (on a CPU), so results differ from those of separate heads by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from audiossl.downstream import Downstream
from audiossl.optimization import schedule_factor, set_learning_rates
from audiossl.trainer import Step, Stepped, Trainer
from audiossl.types import Batch


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
        for trainer in trainers:
            fuse(trainer, True)
        self._optimizer = _joint_optimizer(trainers)

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

        with self.trainers[0].autocast(), _Linears():
            losses, weights, logs = vmap(loss)(self._whole)  # each (N,)
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
                parameter.grad = part
        rows = torch.stack([*(values / weights for values in self._sums.values()), norm], dim=1).tolist()
        figures = []
        for trainer, row in zip(self.trainers, rows, strict=True):
            means = dict(zip([*self._sums, "grad_norm"], row, strict=True))
            rates = set_learning_rates(trainer.optimizer, factor)
            finite = math.isfinite(means["grad_norm"]) and math.isfinite(means["loss"])
            figures.append({**means, **rates, "finite": finite})
            if not finite:
                trainer.optimizer.zero_grad()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return figures


def _joined(own: Sequence[Tensor]) -> Tensor:
    """One tensor (N, ...) that a gradient can be asked for; the members become views of it."""
    whole = torch.stack([parameter.detach() for parameter in own])
    for parameter, part in zip(own, whole, strict=True):
        parameter.data = part
    return whole.requires_grad_()


def _joint_optimizer(trainers: Sequence[Trainer]) -> torch.optim.Optimizer:
    """One that updates the parameters of all, with the groups and the states of their own."""
    kind: Any = type(trainers[0].optimizer)
    # The groups themselves are kept, so that their learning rates are set for both.
    joint: torch.optim.Optimizer = kind([group for each in trainers for group in each.optimizer.param_groups])
    for trainer in trainers:
        for parameter in (parameter for group in trainer.optimizer.param_groups for parameter in group["params"]):
            joint.state[parameter] = trainer.optimizer.state[parameter]  # the same dictionary, empty at first
    return joint


class _Linear(torch.autograd.Function):
    """x W^T + b. Vectorised by torch itself, the gradient of W would come out transposed and be copied into place."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (N, M, in), weight (N, out, in), bias (N, out) -> (N, M, out)."""
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        return of_x, torch.bmm(gradient.transpose(1, 2), x), gradient.sum(dim=1)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        """Of N members, each with x (M, in), weight (out, in) and bias (out,)."""
        every = [
            tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(inputs, in_dims, strict=True)
        ]
        return _Linear.apply(*every), 0  # type: ignore[no-untyped-call]


class _Linears(TorchFunctionMode):
    """Linear layers with a bias are computed by `_Linear` while this is entered, under `vmap`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.linear and len(args) == 3 and args[2] is not None and not kwargs:
            x, weight, bias = args
            flat: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
            return flat.view(*x.shape[:-1], -1)
        return func(*args, **(kwargs or {}))


def fuse(trainer: Trainer, fused: bool) -> None:
    """Let an optimizer make its update in one pass over the parameters, where torch does not do so by itself."""
    if trainer.accelerator.device.type == "cpu":
        for group in trainer.optimizer.param_groups:
            group["fused"] = fused


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
                members[0].together = None
                fuse(members[0], False)
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
