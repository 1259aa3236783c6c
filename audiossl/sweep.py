"""A sweep: an experiment with several learning rates, seeds, interfaces or heads, each combination a run of its own.

RUN/config.yaml (with the values of the sweep), run.json and sweep.json (the members, their figures on dev, which of
them is the best); RUN/<member>/, ordinary run folders. `audiossl.shared_pass` trains them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from audiossl.errors import AudiosslError, ConfigError, TrainingError
from audiossl.evaluate import write_json
from audiossl.registry import INTERFACES

if TYPE_CHECKING:
    from audiossl.experiment import Experiment

_AXES = ("interface", "task", "lr", "seed")  # in the order in which they name a member


@dataclass(frozen=True)
class SweepConfig:
    """Values to try; each combination of those that are given is a member. None are given by default.

    lr: of trainer.lr; seed: of seed; interface: names, or mappings such as {name: layer, index: 3} for one with options
    of its own, beside interface_options; task: options of the head, as in [{pooling: mean}, {pooling: max}], over those
    of `task`. stack: 'auto' computes small heads that differ in nothing but the learning rate as one (their results
    then differ from those of separate runs by rounding); 'off' lets them take turns, which is equal bit by bit.
    """

    lr: list[float] = field(default_factory=list)
    seed: list[int] = field(default_factory=list)
    interface: list[Any] = field(default_factory=list)
    task: list[dict[str, Any]] = field(default_factory=list)
    stack: Literal["auto", "off"] = "auto"

    def __post_init__(self) -> None:
        for lr in self.lr:
            if not (lr > 0 and math.isfinite(lr)):
                raise ConfigError(f"sweep.lr has {lr:g}, and every learning rate must be above zero.")
        for choice in self.interface:
            name = choice.get("name") if isinstance(choice, Mapping) else choice
            if not isinstance(name, str):
                raise ConfigError(
                    f"sweep.interface has {choice!r}; write names, or mappings such as {{name: layer, index: 3}}."
                )
        for axis, values in self.axes.items():
            for value in values:
                if values.count(value) > 1:
                    raise ConfigError(f"sweep.{axis} has {_text(value)} twice; leave one of them out.")

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What is swept over; empty for no sweep."""
        return {axis: list(values) for axis in _AXES if (values := getattr(self, axis))}


class Planned(NamedTuple):
    """A member: its folder's name, the values that make it and the ordinary experiment that they give."""

    name: str
    values: dict[str, Any]
    config: Experiment


def members_of(config: Experiment) -> list[Planned]:
    """One for each combination, the last axis (the seed) changing fastest. Raises UnknownNameError, ConfigError."""
    axes = config.sweep.axes
    for choice in config.sweep.interface:
        INTERFACES.card(choice["name"] if isinstance(choice, Mapping) else choice)
    planned: list[Planned] = []
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        name = "-".join(_part(axis, value) for axis, value in values.items())
        if any(name == other.name for other in planned):
            raise ConfigError(f"sweep: two members would be called {name!r}; leave one of them out.")
        planned.append(Planned(name, values, _experiment_of(config, values)))
    return planned


def _experiment_of(config: Experiment, values: Mapping[str, Any]) -> Experiment:
    changed: dict[str, Any] = {"sweep": SweepConfig()}
    if "lr" in values:
        changed["trainer"] = dataclasses.replace(config.trainer, lr=values["lr"])
    if "seed" in values:
        changed["seed"] = values["seed"]
    if "task" in values:
        changed["task"] = {**config.task, **values["task"]}
    if "interface" in values:
        choice = values["interface"]
        own = dict(choice) if isinstance(choice, Mapping) else {"name": choice}
        changed["interface"] = own.pop("name")
        changed["interface_options"] = {**config.interface_options, **own}
    return dataclasses.replace(config, **changed)


def _part(axis: str, value: Any) -> str:
    """A part of a member's name.

    >>> _part("lr", 0.01), _part("seed", 2), _part("interface", {"name": "layer", "index": 3})
    ('lr0.01', 'seed2', 'layer_index3')
    >>> _part("task", {"pooling": "max", "projector_width": None})
    'pooling_max_projector_width_none'
    """
    if axis in ("lr", "seed"):
        return f"{axis}{value!r}"
    if axis == "interface":
        own = dict(value) if isinstance(value, Mapping) else {"name": value}
        text = "_".join([str(own.pop("name")), *(f"{key}{_text(option)}" for key, option in own.items())])
    else:
        text = "_".join(f"{key}_{_text(option)}" for key, option in value.items()) or "defaults"
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.")


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


@dataclass
class Entry:
    """What sweep.json says of a member. dev: its best figure; step: that it belongs to; why: it failed."""

    name: str
    values: dict[str, Any]
    state: Literal["waiting", "training", "finished", "failed"] = "waiting"
    dev: float | None = None
    step: int | None = None
    why: str = ""

    @property
    def seed(self) -> int | None:
        return self.values.get("seed")


@dataclass
class SweepRecord:
    """RUN/sweep.json."""

    metric: str
    mode: str
    members: list[Entry]

    def best(self, seed: int | None = None) -> Entry | None:
        """The finished member with the best figure on dev (of this seed, if one is given), the first of equals.

        None where none is finished.
        """
        sign = -1 if self.mode == "max" else 1
        ranked = [
            (sign * entry.dev, place)
            for place, entry in enumerate(self.members)
            if entry.state == "finished" and entry.dev is not None and (seed is None or entry.seed == seed)
        ]
        return self.members[min(ranked)[1]] if ranked else None

    @property
    def chosen(self) -> list[Entry]:
        """The best member of each seed, in the order of the seeds; the best of all where seeds are not swept over."""
        seeds = dict.fromkeys(entry.seed for entry in self.members)
        return [best for seed in seeds if (best := self.best(seed)) is not None]

    def write(self, folder: Path) -> None:
        best = self.best()
        facts = {
            "metric": self.metric,
            "mode": self.mode,
            "best": best.name if best else None,
            "best_of_seed": {str(entry.seed): entry.name for entry in self.chosen if entry.seed is not None},
            "members": [dataclasses.asdict(entry) for entry in self.members],
        }
        write_json(folder / "sweep.json", facts)


def is_sweep(folder: Path) -> bool:
    """Whether `audiossl train` wrote a sweep there."""
    return (Path(folder) / "sweep.json").is_file()


def read_sweep(folder: Path) -> SweepRecord:
    """Raises AudiosslError for a folder that is no sweep, or whose sweep.json is damaged."""
    path = Path(folder) / "sweep.json"
    if not path.is_file():
        raise AudiosslError(f"{folder} is not a sweep (it has no sweep.json); give what `audiossl train` wrote.")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return SweepRecord(stored["metric"], stored["mode"], [Entry(**member) for member in stored["members"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AudiosslError(f"{path} cannot be read; train again with --overwrite.") from error


def best_member(folder: Path) -> Path:
    """The run folder of the member that is best on dev. Raises TrainingError where none is finished."""
    best = read_sweep(folder).best()
    if best is None:
        raise _unfinished(folder)
    return Path(folder) / best.name


def runs_of(folder: Path) -> list[Path]:
    """What stands for a folder that `audiossl train` wrote: of a sweep the best run of each seed, else itself.

    Raises TrainingError for a sweep of which no member is finished.
    """
    if not is_sweep(folder):
        return [Path(folder)]
    chosen = read_sweep(folder).chosen
    if not chosen:
        raise _unfinished(folder)
    return [Path(folder) / entry.name for entry in chosen]


def _unfinished(folder: Path) -> TrainingError:
    return TrainingError(f"No member of the sweep {folder} is finished; go on with `audiossl train --resume {folder}`.")
