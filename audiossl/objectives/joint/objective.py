"""Several objectives on one encoder: the weighted sum of their losses.

What one objective neglects, another may ask for: voices beside words, for instance, by `dino` beside `distil`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Positive
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.training.objective import Objective, Surroundings, load_objective


@dataclass(frozen=True)
class TermConfig:
    """One of the objectives."""

    name: str = ""
    """The objective, where the term is called otherwise: two terms may be of one kind."""
    weight: Positive = 1.0
    """What its loss is multiplied by."""
    options: dict[str, Any] = field(default_factory=dict)
    """Its options."""


@dataclass(frozen=True)
class JointConfig:
    """Which objectives, and how much each of them counts."""

    terms: dict[str, Any] = field(default_factory=dict)
    """The objectives by their names, each as {weight: ..., options: {...}}, or by names of their own with {name: ...}.
    In the log, their figures come after these names."""


class JointObjective(Objective):
    """Objectives that share an encoder. The weight of the loss, and so of a batch, is that of the first."""

    Config = JointConfig

    def __init__(self, upstream: Upstream, config: JointConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config = config or JointConfig()
        if not config.terms:
            raise ConfigError(
                "joint has no terms; set objective_options.terms={distil: {options: {...}}}, for instance."
            )
        where = "terms of joint"
        self.parts = {name: structured(TermConfig, term, where=where) for name, term in config.terms.items()}
        self.terms = nn.ModuleList(
            load_objective(part.name or name, upstream, **part.options) for name, part in self.parts.items()
        )

    @property
    def item_wise(self) -> bool:
        """Means over frames and means over utterances have no sum that is a mean over either."""
        return len(self.parts) == 1 and self.first.item_wise

    @property
    def first(self) -> Objective:
        """The term whose weight is that of the loss."""
        return next(iter(self.objectives.values()))

    @property
    def objectives(self) -> dict[str, Objective]:
        """The terms by name."""
        return dict(zip(self.parts, cast(Iterable[Objective], self.terms), strict=True))

    @property
    def shortest_s(self) -> float:
        return max(term.shortest_s for term in self.objectives.values())

    @property
    def may_skip_parameters(self) -> bool:
        return any(term.may_skip_parameters for term in self.objectives.values())

    def loss(self, batch: Batch) -> Loss:
        """The weighted sum of the terms' losses."""
        losses = {name: term.loss(batch) for name, term in self.objectives.items()}
        total = torch.stack([part.weight * losses[name].total for name, part in self.parts.items()]).sum()
        logs = {f"{name}_loss": loss.total.detach() for name, loss in losses.items()}
        logs |= {f"{name}_{key}": value for name, loss in losses.items() for key, value in loss.logs.items()}
        return Loss(total, losses[next(iter(self.parts))].weight, logs)

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        return [f"{name}.{taken}" for name, term in self.objectives.items() for taken in term.take_heads(heads)]

    def prepare(self, surroundings: Surroundings) -> None:
        for term in self.objectives.values():
            term.prepare(surroundings)

    @property
    def needs_fit(self) -> bool:
        return any(term.needs_fit for term in self.objectives.values())

    def fit(self, batches: Iterable[Batch]) -> None:
        """Each term by itself, and the encoder once: only the first finds it without statistics."""
        for term in self.objectives.values():
            term.fit(batches)

    def begin_step(self, step: int) -> None:
        for term in self.objectives.values():
            term.begin_step(step)

    def after_step(self, step: int) -> None:
        for term in self.objectives.values():
            term.after_step(step)

    def watch(self, step: int, figures: Mapping[str, float]) -> None:
        """Each term sees its own figures, under their own names."""
        for name, term in self.objectives.items():
            own = {key.removeprefix(f"{name}_"): value for key, value in figures.items() if key.startswith(f"{name}_")}
            term.watch(step, own)

    def trainable_state(self) -> dict[str, Tensor]:
        """The encoder once, and what each term has beside it."""
        state = {f"upstream.{name}": value for name, value in self.upstream.state_dict().items()}
        for name, term in self.objectives.items():
            own = term.trainable_state().items()
            state |= {f"{name}.{key}": value for key, value in own if not key.startswith("upstream.")}
        return state

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        shared = {key: value for key, value in state.items() if key.startswith("upstream.")}
        for name, term in self.objectives.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            term.load_trainable_state({**shared, **own})
