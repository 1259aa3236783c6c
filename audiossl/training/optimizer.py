"""The optimizer of a task's parameter groups, its schedule, and its state as tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import TrainingError
from audiossl.training.config import TrainerConfig
from audiossl.training.task import Task


def build_optimizer(task: Task, config: TrainerConfig) -> torch.optim.Optimizer:
    """An optimizer over what is trainable. Matrices and higher get weight decay, vectors do not.

    Each of its groups keeps the `name` and the `peak_lr` of the task's group that it is a part of.
    """
    groups: list[dict[str, Any]] = []
    for name, parameters, lr in task.parameter_groups():
        facts = {"name": name, "peak_lr": config.lr if lr is None else lr}
        matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
        for params, decay in ((matrices, config.weight_decay), (vectors, 0.0)):
            if params:
                groups.append({"params": params, "weight_decay": decay, "lr": facts["peak_lr"], **facts})
    if not groups:
        raise TrainingError(f"{type(task).__name__} has nothing to train.")
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.betas[0])
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=config.betas)


def set_learning_rates(optimizer: Any, factor: float) -> dict[str, float]:
    """Set each group's rate to `factor` times its peak. Returns `lr`, and `lr_<name>` of named groups, for the log:

    0 for a group of which no parameter has a gradient in this step, as it stays as it is.
    """
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
        moves = any(parameter.grad is not None for parameter in group["params"])
        key = f"lr_{group['name']}" if group["name"] else "lr"
        rates[key] = max(rates.get(key, 0.0), group["lr"] if moves else 0.0)
    return rates


def schedule_factor(config: TrainerConfig, step: int) -> float:
    """The learning rate of update `step` (from 0) as a share of the peak."""
    warmup = config.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(config.steps - warmup, 1)
    if config.schedule == "linear":
        return 1 - done
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule in ("tri_stage", "stable_decay"):
        decay_from = warmup + config.hold_share * config.steps
        decayed = min(max((step - decay_from) / max(config.steps - decay_from, 1), 0.0), 1.0)
        return 1 - decayed if config.schedule == "stable_decay" else float(config.final_share**decayed)
    if config.schedule == "inverse_sqrt":
        return math.sqrt(max(warmup, 1) / max(step + 1, 1))
    return 1.0


def flatten_optimizer(state: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of an optimizer's state as `optimizer/<parameter>/<name>`. A parameter without a step has none."""
    return {
        f"optimizer/{index}/{name}": torch.as_tensor(value)
        for index, values in state["state"].items()
        for name, value in values.items()
        if value is not None
    }


def unflatten_optimizer(tensors: dict[str, Tensor], fresh: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `flatten_optimizer`, with the groups of a freshly built optimizer."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": fresh["param_groups"]}
