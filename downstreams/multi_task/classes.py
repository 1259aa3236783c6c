"""Targets of labels: classes without an order, and levels with one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Metric
from audiossl.downstreams.multi_task.head import TargetHead, mean_scores, probabilities
from audiossl.downstreams.multi_task.target import Target
from audiossl.metrics.classification import classification_estimates, classification_metrics
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate, metric_of
from audiossl.metrics.ordinal import ordinal_estimates


class LabelHead(TargetHead[str]):
    """What classes and levels share: C labels, and scores of them."""

    def build(self, width: int) -> None:
        labels = self.target.labels
        if len(labels) < 2:
            raise ConfigError(
                f"targets.{self.name}.labels: there must be two; `complete` takes them from training rows."
            )
        self.index = {label: number for number, label in enumerate(labels)}
        self.build_layers(width, len(labels))

    def build_layers(self, width: int, num_labels: int) -> None:
        """Build what the labels need."""
        raise NotImplementedError

    def scores(self, outputs: Tensor) -> Tensor:
        """(B, K) -> (B, C) that sum to 1."""
        raise NotImplementedError

    def best(self, scores: Sequence[float]) -> int:
        """Which label is predicted from scores (C,)."""
        return int(np.argmax(scores))

    def number_of(self, text: str) -> float:
        if text not in self.index:
            known = ", ".join(self.target.labels[:8]) + (", ..." if len(self.index) > 8 else "")
            raise LabelError(f"{text!r}, which is none of its {len(self.index)} {self.labels_are} ({known})")
        return float(self.index[text])

    labels_are = "classes of training"

    def value_of(self, text: str) -> str:
        return text

    def graph_outputs(self, outputs: Tensor) -> dict[str, Tensor]:
        return {f"{self.name}_scores": self.scores(outputs)}

    def predictions(self, outputs: Tensor) -> list[tuple[str, list[float] | None]]:
        rows = probabilities(self.scores(outputs.double()))
        return [(self.target.labels[self.best(row)], row) for row in rows]

    def united(self, values: Sequence[str], scores: Sequence[Sequence[float]]) -> tuple[str, list[float] | None]:
        mean = mean_scores(scores)
        return self.target.labels[self.best(mean)], mean

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "labels": list(self.target.labels)}


class ClassHead(LabelHead):
    """A linear layer and cross entropy."""

    main = "uar"

    @classmethod
    def complete(cls, target: Target, texts: Sequence[str]) -> Target:
        labels = list(target.labels) or sorted(set(texts))
        if len(labels) < 2:
            raise LabelError(f"has only {labels[0]!r} in training rows, and a class needs two")
        return replace(target, labels=labels)

    def build_layers(self, width: int, num_labels: int) -> None:
        self.linear = nn.Linear(width, num_labels)

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.linear(pooled)
        return logits

    def item_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets.long(), reduction="none")

    def scores(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(dim=-1)

    def error(self, target: str, predicted: str) -> float:
        return float(target != predicted)

    def estimates(self, targets: Sequence[str], predicted: Sequence[str], clusters: Clusters) -> dict[str, Estimate]:
        return classification_estimates(targets, predicted, clusters)

    def metrics(self, targets: Sequence[str], predicted: Sequence[str], clusters: Clusters) -> dict[str, Metric]:
        return classification_metrics(targets, predicted, clusters)


class OrdinalHead(LabelHead):
    """One number and C - 1 thresholds on it: is the level above each? (CORAL, Cao et al., 2020, arXiv:1901.07884.)

    The loss is the sum of the C - 1 binary cross entropies. The predicted level is the number of thresholds that the
    item is likelier above than below.
    """

    main = "qwk"
    labels_are = "levels"

    @classmethod
    def complete(cls, target: Target, texts: Sequence[str]) -> Target:
        if target.labels:
            return target
        found = sorted(set(texts))
        try:
            levels = sorted(found, key=float)
        except ValueError:
            some = ", ".join(found[:8])
            raise LabelError(
                f"has levels that are no numbers ({some}), whose order nobody can guess: give labels from the lowest "
                f"to the highest"
            ) from None
        if len(levels) < 2 or not all(math.isfinite(float(level)) for level in levels):
            raise LabelError(f"has the levels {', '.join(levels)} in training rows, and needs two finite ones")
        return replace(target, labels=levels)

    def build_layers(self, width: int, num_labels: int) -> None:
        self.linear = nn.Linear(width, 1, bias=False)
        # Spread thresholds, so that all levels are likely at first.
        share = torch.arange(1, num_labels) / num_labels
        self.thresholds = nn.Parameter((1 - share).logit())

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.linear(pooled) + self.thresholds  # (B, C - 1) that the level is above 0, 1, ...
        return logits

    def item_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        above = (targets[:, None] > torch.arange(outputs.shape[-1], device=outputs.device)).to(outputs.dtype)
        return nn.functional.binary_cross_entropy_with_logits(outputs, above, reduction="none").sum(dim=-1)

    def scores(self, outputs: Tensor) -> Tensor:
        # Thresholds may cross before they have learnt: what is above a higher one is above a lower one.
        above = outputs.sigmoid().cummin(dim=-1).values
        edges = torch.cat([torch.ones_like(above[:, :1]), above, torch.zeros_like(above[:, :1])], dim=-1)
        return edges[:, :-1] - edges[:, 1:]

    def best(self, scores: Sequence[float]) -> int:
        """The median level."""
        return min(int(np.searchsorted(np.cumsum(scores), 0.5 - 1e-9)), len(scores) - 1)

    def error(self, target: str, predicted: str) -> float:
        return abs(self.index[target] - self.index[predicted]) / (len(self.index) - 1)

    def estimates(self, targets: Sequence[str], predicted: Sequence[str], clusters: Clusters) -> dict[str, Estimate]:
        true, said = ([self.index[label] for label in labels] for labels in (targets, predicted))
        found = ordinal_estimates(true, said, clusters)
        return {**found, "uar": classification_estimates(targets, predicted, clusters)["uar"]}

    def metrics(self, targets: Sequence[str], predicted: Sequence[str], clusters: Clusters) -> dict[str, Metric]:
        return {name: metric_of(each, clusters) for name, each in self.estimates(targets, predicted, clusters).items()}
