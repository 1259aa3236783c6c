"""The contract of pre-training: an upstream with an objective on unlabelled sound."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from audiossl.core.types import Batch, Metric
from audiossl.encoders.upstream import Upstream
from audiossl.training.task import Monitor, Prediction, Task


class Pretraining(Task):
    """Trains all of `upstream`, plus whatever heads the objective needs.

    Validation is the loss on held-out sound. Randomness of an item (masks, noise) comes from `generator`, so that it
    is the same whatever batch the item is in.
    """

    Config: ClassVar[type]
    monitor = Monitor("loss", "min")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(True)

    def predict(self, batch: Batch) -> list[Prediction]:
        loss = self.loss(batch)
        rows = [{"id": cut.id} for cut in batch.cuts]
        shared = {"loss": float(loss.total), "weight": float(loss.weight) / max(len(rows), 1)}
        return [{**row, **shared} for row in rows]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        weights = np.array([row["weight"] for row in predictions])
        losses = np.array([row["loss"] for row in predictions])
        return {"loss": Metric(float((losses * weights).sum() / max(weights.sum(), 1e-12)))}

    @staticmethod
    def generator(*key: object) -> torch.Generator:
        """Random numbers that depend on the key alone."""
        digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "big"))
