"""The members of a sweep: one experiment for each combination of its values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import SEPARATOR, names_in
from audiossl.core.registry import INTERFACES
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.experiments.sweeps.config import SweepConfig, choice_of, value_text

if TYPE_CHECKING:
    from audiossl.experiments.config import Experiment


class MemberPlan(NamedTuple):
    """A member that is to be trained.

    name: of its folder.
    values: what makes it, by axis.
    config: the ordinary experiment that they give.
    """

    name: str
    values: dict[str, Any]
    config: Experiment


def members_of(config: Experiment) -> list[MemberPlan]:
    """One for each combination, the last axis (the seed) changing fastest. Raises UnknownNameError, ConfigError."""
    axes = config.sweep.axes
    for choice in config.sweep.interface:
        for name in names_in(choice_of("interface", choice)[0]):
            INTERFACES.card(name)
    planned: list[MemberPlan] = []
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        name = "-".join(_part(axis, value) for axis, value in values.items())
        if any(name == other.name for other in planned):
            raise ConfigError(f"sweep: two members would be called {name!r}; leave one of them out.")
        planned.append(MemberPlan(name, values, _experiment_of(config, values)))
    return planned


def _experiment_of(config: Experiment, values: Mapping[str, Any]) -> Experiment:
    changed: dict[str, Any] = {"sweep": SweepConfig()}
    if "lr" in values:
        changed["trainer"] = dataclasses.replace(config.trainer, lr=values["lr"])
    if "subset" in values:
        changed["data"] = dataclasses.replace(config.data, subset=values["subset"])
    if "seed" in values:
        changed["seed"] = values["seed"]
    if "task" in values:
        changed["task"] = {**config.task, **values["task"]}
    if "interface" in values:
        changed["interface"], own = choice_of("interface", values["interface"])
        changed["interface_options"] = {**config.interface_options, **own}
    if "finetune" in values:
        mode, own = choice_of("finetune", values["finetune"])
        layers = as_dict(config.finetune), {"mode": mode, **own}
        changed["finetune"] = structured(FinetuneConfig, *layers, where="sweep.finetune")
    if "adversary" in values:
        changed["adversary"] = dataclasses.replace(config.adversary, weight=values["adversary"])
    return dataclasses.replace(config, **changed)


def value_written(axis: str, value: Any) -> str:
    """A value of an axis, for a table.

    >>> value_written("lr", 0.001), value_written("interface", {"name": "layer", "index": 3})
    ('0.001', 'layer_index3')
    """
    return f"{value:g}" if axis in ("lr", "adversary") else _part(axis, value)


def _part(axis: str, value: Any) -> str:
    """A part of a member's name.

    >>> _part("lr", 0.01), _part("seed", 2), _part("interface", {"name": "layer", "index": 3})
    ('lr0.01', 'seed2', 'layer_index3')
    >>> _part("finetune", "all"), _part("adversary", 0.1), _part("subset", "10%")
    ('all', 'adversary0.1', 'subset10pct')
    >>> _part("task", {"pooling": "max", "projector_width": None})
    'pooling_max_projector_width_none'
    """
    if axis in ("lr", "seed"):
        return f"{axis}{value!r}"
    if axis == "adversary":
        return f"{axis}{value:g}"
    if axis == "subset":
        text = f"{axis}{value.replace('%', 'pct')}"
    elif axis in ("interface", "finetune"):
        name, own = choice_of(axis, value)
        parts = [str(name).replace(SEPARATOR, "+"), *(f"{key}{value_text(option)}" for key, option in own.items())]
        text = "_".join(parts)
    else:
        text = "_".join(f"{key}_{value_text(option)}" for key, option in value.items()) or "defaults"
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.")
