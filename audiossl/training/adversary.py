"""An adversary of a head (Ganin and Lempitsky, 2015, arXiv:1409.7495): a classifier whose gradient is reversed.

It reads the vector by which the head knows an item (`Downstream.represent`) and learns to tell a column from it, such
as the speaker. Its gradient reaches what made the vector multiplied by minus the weight: that learns to hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.types import Batch, Features
from audiossl.data.fields import read_field
from audiossl.nn.gradients import scale_gradient
from audiossl.nn.mlp import make_classifier
from audiossl.training.config import AdversaryConfig

LossOf = Callable[[Batch], tuple[Tensor, Tensor, dict[str, Tensor]]]


class Represents(Protocol):
    """What of a head gives the vectors of items (`audiossl.training.downstream.Downstream`)."""

    def features(self, batch: Batch) -> Features:
        """Hidden states."""

    def sequence(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the head reads, (B, T, D), and its lengths."""

    def represent(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """One vector for each item, (B, V)."""


class Adversary(nn.Module):
    """Cross entropy of a column of the rows.

    width: of the vectors.
    values: what the column has in training, sorted.
    steps: of the training, over which the schedule goes.
    """

    def __init__(self, config: AdversaryConfig, width: int, values: Sequence[str], steps: int) -> None:
        super().__init__()
        self.config, self.steps, self.weight = config, steps, config.weight_at(0.0)
        self.index = {value: number for number, value in enumerate(values)}
        self.classifier = make_classifier(width, config.hidden, len(values))

    def begin_step(self, step: int) -> None:
        """Set the weight of update `step` (from 0)."""
        self.weight = self.config.weight_at(step / self.steps)

    def forward(self, vectors: Tensor, cuts: Sequence[Cut]) -> tuple[Tensor, Tensor]:
        """Vectors (B, V) of the rows -> mean cross entropy () and accuracy (). What it learns by is not reversed."""
        logits = self.classifier(scale_gradient(vectors.float(), -self.weight)).float()
        targets = torch.tensor([self.index[str(read_field(cut, self.config.field))] for cut in cuts])
        targets = targets.to(logits.device)
        right = (logits.detach().argmax(dim=-1) == targets).float()
        return nn.functional.cross_entropy(logits, targets), right.mean()

    def beside(self, task: Represents, batch: Batch, loss_of: LossOf) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What `loss_of` gives of a batch with the loss of the adversary added. The encoder runs once.

        task: the head.
        batch: of a training step.
        loss_of: the loss of the task, its weight and its logs.
        """
        features = task.features(batch)
        total, weight, logs = loss_of(replace(batch, features=features))
        vectors = represented(task, batch, features, detached=self.config.reaches == "head")
        opposed, told = self(vectors, batch.cuts)
        logs = {"task_loss": total.detach(), **logs, "adversary_loss": opposed.detach(), "adversary_accuracy": told}
        return total + opposed, weight, logs


def represented(task: Represents, batch: Batch, features: Features | None = None, *, detached: bool = False) -> Tensor:
    """The vectors (B, represented_width) by which a head knows the items of a batch.

    task: the head on its encoder.
    batch: the items.
    features: their hidden states, where they are there already.
    detached: without a graph through the encoder.
    """
    features = features or task.features(batch)
    if detached:
        features = replace(features, layers=tuple(layer.detach() for layer in features.layers))
    return task.represent(*task.sequence(replace(batch, features=features)))
