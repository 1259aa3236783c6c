"""The contract of the head of one target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from audiossl.core.types import Metric
from audiossl.downstreams.multi_task.target import Target
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate
from audiossl.nn.regression import known_mean

V = TypeVar("V", str, float)  # what is predicted: a label, or a number


class TargetHead(nn.Module, ABC, Generic[V]):
    """From a vector (B, W) to what is predicted of one target.

    name: of the target.
    target: completed.
    main: the figure that stands for the target among others, the more of it the better.
    """

    main: ClassVar[str]

    def __init__(self, name: str, target: Target, width: int) -> None:
        super().__init__()
        self.name, self.target = name, target
        self.build(width)

    @classmethod
    @abstractmethod
    def complete(cls, target: Target, texts: Sequence[str]) -> Target:
        """The target with what training rows say.

        texts: what the column holds where it is not empty, at least one.
        Raises LabelError with a clause about the column.
        """

    @classmethod
    def check_text(cls, text: str) -> None:
        """Raise LabelError, with a clause about the text, for one that no such target can have. By default any can."""

    @abstractmethod
    def build(self, width: int) -> None:
        """Build the layers. Raises ConfigError for a target that was not completed."""

    @abstractmethod
    def forward(self, pooled: Tensor) -> Tensor:
        """(B, W) -> (B, K) outputs."""

    @abstractmethod
    def number_of(self, text: str) -> float:
        """What a column says, as the loss takes it. Raises LabelError with a clause about the text."""

    @abstractmethod
    def value_of(self, text: str) -> V:
        """What a column says, as a prediction says it."""

    @abstractmethod
    def item_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, K), (B,) -> (B,)."""

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Mean over the known items of (B, K) outputs and (B,) targets. 0 where none is known."""
        return known_mean(self.item_losses(outputs, targets), known)

    @abstractmethod
    def graph_outputs(self, outputs: Tensor) -> dict[str, Tensor]:
        """What `audiossl export` gives of (B, K), by names that begin with the target's."""

    @abstractmethod
    def predictions(self, outputs: Tensor) -> list[tuple[V, list[float] | None]]:
        """What is predicted of (B, K) outputs on the CPU, and the scores of all labels where there are any."""

    @abstractmethod
    def united(self, values: Sequence[V], scores: Sequence[Sequence[float]]) -> tuple[V, list[float] | None]:
        """One prediction from those of several heads."""

    @abstractmethod
    def error(self, target: V, predicted: V) -> float:
        """How far a prediction is off: 0 for a right one, about 1 for one that tells nothing."""

    @abstractmethod
    def estimates(self, targets: Sequence[V], predicted: Sequence[V], clusters: Clusters) -> dict[str, Estimate]:
        """Figures of N items whose target is known, with what each is without each cluster."""

    @abstractmethod
    def metrics(self, targets: Sequence[V], predicted: Sequence[V], clusters: Clusters) -> dict[str, Metric]:
        """The same, with intervals."""

    def written(self, predicted: V) -> str:
        """What `audiossl predict` prints."""
        return predicted if isinstance(predicted, str) else f"{predicted:.4g}"

    def facts(self) -> dict[str, Any]:
        """What a reader of exported outputs must know."""
        return {"kind": self.target.kind}


def probabilities(scores: Tensor) -> list[list[float]]:
    """(B, C) as rows of six decimals."""
    rows: list[list[float]] = scores.double().numpy().round(6).tolist()
    return rows


def mean_scores(scores: Sequence[Sequence[float]]) -> list[float]:
    """The mean (C,) of R rows of scores (C,)."""
    found: list[float] = torch.tensor(scores, dtype=torch.float64).mean(dim=0).numpy().round(6).tolist()
    return found
