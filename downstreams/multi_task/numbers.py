"""Targets that are numbers, standardised by training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Metric
from audiossl.downstreams.multi_task.head import TargetHead
from audiossl.downstreams.multi_task.target import Target
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate
from audiossl.metrics.regression import regression_estimates, regression_metrics
from audiossl.nn.regression import concordance_loss, item_losses

_DECIMALS = 6  # of a prediction, in standard deviations of training rows


def finite_number(text: str) -> float:
    """A number from a column. Raises LabelError with a clause about the text."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelError(f"{text!r}, which is no finite number")
    return value


class NumberHead(TargetHead[float]):
    """A linear layer, whose output is in standard deviations of training rows from their mean."""

    main = "ccc"

    @classmethod
    def complete(cls, target: Target, texts: Sequence[str]) -> Target:
        if target.scale:
            return target
        values = np.array([finite_number(text) for text in texts])
        if np.ptp(values) == 0:
            raise LabelError(f"is {values[0]:g} in every training row that has it, so that there is nothing to learn")
        return replace(target, mean=float(values.mean()), scale=float(values.std()))

    @classmethod
    def check_text(cls, text: str) -> None:
        finite_number(text)

    def build(self, width: int) -> None:
        target = self.target
        if not target.scale:
            raise ConfigError(f"targets.{self.name}.scale: `complete` takes it from training rows.")
        if target.least is not None and target.most is not None and target.least >= target.most:
            raise ConfigError(f"least={target.least:g} of {self.name} must be below most={target.most:g}.")
        self.linear = nn.Linear(width, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        outputs: Tensor = self.linear(pooled)
        return outputs

    def number_of(self, text: str) -> float:
        return (finite_number(text) - self.target.mean) / self.target.scale

    def value_of(self, text: str) -> float:
        return finite_number(text)

    def item_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return item_losses(self.target.loss, outputs[:, 0] - targets, self.target.huber_delta)

    def loss(self, outputs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        if self.target.loss == "ccc":
            return concordance_loss(outputs[:, 0], targets, known)
        return super().loss(outputs, targets, known)

    def in_units(self, outputs: Tensor) -> Tensor:
        """(B, 1) -> (B,) in the unit of the column, within the bounds that were asked for."""
        target = self.target
        values = outputs[:, 0] * target.scale + target.mean
        return values if target.least is None and target.most is None else values.clamp(target.least, target.most)

    def graph_outputs(self, outputs: Tensor) -> dict[str, Tensor]:
        return {f"{self.name}_value": self.in_units(outputs)}

    def predictions(self, outputs: Tensor) -> list[tuple[float, list[float] | None]]:
        return [(self._rounded(value), None) for value in self.in_units(outputs.double()).tolist()]

    def united(self, values: Sequence[float], scores: Sequence[Sequence[float]]) -> tuple[float, list[float] | None]:
        return self._rounded(float(np.mean(values))), None

    def error(self, target: float, predicted: float) -> float:
        return abs(target - predicted) / self.target.scale

    def estimates(
        self, targets: Sequence[float], predicted: Sequence[float], clusters: Clusters
    ) -> dict[str, Estimate]:
        return regression_estimates(targets, predicted, clusters)

    def metrics(self, targets: Sequence[float], predicted: Sequence[float], clusters: Clusters) -> dict[str, Metric]:
        return regression_metrics(targets, predicted, clusters)

    def _rounded(self, value: float) -> float:
        """With as many decimals as six of a standard deviation have."""
        return round(value, max(_DECIMALS - math.floor(math.log10(self.target.scale)), 0))
