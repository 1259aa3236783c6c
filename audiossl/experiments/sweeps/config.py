"""What a sweep is over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import NonNegative, Positive, Range, Seed, check_ranges
from audiossl.data.subsets import read_amount

# In the order in which they name a member.
_AXES = ("subset", "finetune", "interface", "task", "adversary", "lr", "seed")
ADDED_AXES = ("subset", "finetune", "adversary")  # that earlier versions did not have
_NAMES = {"interface": "name", "finetune": "mode"}  # the keys of axes whose values are names, or mappings with a name
_EXAMPLES = {"interface": "{name: layer, index: 3}", "finetune": "{mode: top_k, top_k: 2}"}


@dataclass(frozen=True)
class SweepConfig:
    """Values to try. Each combination of those that are given is a member. None are given by default."""

    lr: list[Positive] = field(default_factory=list)
    """Values of trainer.lr. Empty for no sweep over it."""
    seed: list[Seed] = field(default_factory=list)
    """Values of seed. Empty for no sweep over it."""
    interface: list[Any] = field(default_factory=list)
    """Names of interfaces, or mappings such as {name: layer, index: 3} for one with options of its own beside
    interface_options. Empty for no sweep over them."""
    task: list[dict[str, Any]] = field(default_factory=list)
    """Options of the head, as in [{pooling: mean}, {pooling: max}], over those of `task`. Empty for no such sweep."""
    finetune: list[Any] = field(default_factory=list)
    """Modes of finetune, as in [none, all], or mappings such as {mode: top_k, top_k: 2}. Empty for no such sweep."""
    adversary: list[NonNegative] = field(default_factory=list)
    """Values of adversary.weight, of which 0 is for none. Empty for no such sweep."""
    subset: list[str] = field(default_factory=list)
    """Values of data.subset, as in [10min, 1h, 0.1, 1], each a search of its own: how much a label is worth. What the
    task takes from its training rows (labels, units) it takes from all of them. Empty for no such sweep."""
    stack: Literal["auto", "off"] = "auto"
    """'auto' computes small heads that differ in nothing but the learning rate as one, whose results then differ from
    those of separate runs by rounding. 'off' lets them take turns, which is equal bit by bit."""
    budget: NonNegative = 0.0
    """How many full trainings all members may cost together: those that are behind on dev stop early. 0 for all to the
    end."""
    keep: Annotated[float, Range(above=0, below=1)] = 0.5
    """Share of the members that go on at each comparison, where there is a budget."""

    def __post_init__(self) -> None:
        check_ranges(self, "sweep")
        if self.budget and not self.axes:
            raise ConfigError(
                f"sweep.budget={self.budget:g} has no members to be spent on; give values such as "
                f"sweep.lr=[1e-2,1e-3], or leave it out."
            )
        for amount in self.subset:
            read_amount(amount, "sweep.subset")
        for axis in _NAMES:
            for choice in getattr(self, axis):
                if not isinstance(choice_of(axis, choice)[0], str):
                    raise ConfigError(
                        f"sweep.{axis} has {choice!r}; write names, or mappings such as {_EXAMPLES[axis]}."
                    )
        for axis, values in self.axes.items():
            for value in values:
                if values.count(value) > 1:
                    raise ConfigError(f"sweep.{axis} has {value_text(value)} twice; leave one of them out.")

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What is swept over: the values by axis. Empty for no sweep."""
        return {axis: list(values) for axis in _AXES if (values := getattr(self, axis))}

    @property
    def num_members(self) -> int:
        """How many combinations there are. 1 where nothing is swept over."""
        return math.prod(len(values) for values in self.axes.values())


def choice_of(axis: str, choice: Any) -> tuple[Any, dict[str, Any]]:
    """The name of an interface or of a mode of fine-tuning, and the options beside it.

    >>> choice_of("finetune", "all"), choice_of("interface", {"name": "layer", "index": 3})
    (('all', {}), ('layer', {'index': 3}))
    """
    options = dict(choice) if isinstance(choice, Mapping) else {_NAMES[axis]: choice}
    return options.pop(_NAMES[axis], None), options


def value_text(value: Any) -> str:
    """A value as members and errors name it: 'none' for null."""
    return "none" if value is None else str(value)
