"""The contract of an objective: an upstream under a loss on unlabelled sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from audiossl.core.config import make
from audiossl.core.errors import ConfigError
from audiossl.core.registry import OBJECTIVES, UPSTREAMS
from audiossl.core.types import Batch, Metric
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import keyed_generator
from audiossl.training.task import Monitor, Prediction, Task


class Objective(Task):
    """Trains all of `upstream`, plus whatever heads the loss needs.

    A subclass has a `Config` dataclass, takes `(upstream, config)` and writes `loss`. Validation is the loss on
    held-out sound.
    needs: what it asks of an encoder beyond the contract of `Upstream`, names such as `contextualize`. An encoder
    answers by having attributes or methods of these names. None are asked for by default: any encoder will do.
    The contract, checked by `audiossl.check_objective`: the loss of a batch is that of its items, averaged by weight.
    Padding never changes it. (`item_wise` may say otherwise.) What is random in an item comes from `draws`.
    Gradients reach every trainable parameter. Saving and loading is the identity.
    """

    Config: ClassVar[type]
    needs: ClassVar[tuple[str, ...]] = ()
    monitor = Monitor("loss", "min")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(True)

    @property
    def item_wise(self) -> bool:
        """False where an item's loss depends on the batch that it is in.

        The loss may compare the items of a batch, or draw something once for all of them.
        """
        return True

    def draws(self, batch: Batch, seed: int, *key: object) -> list[torch.Generator]:
        """A source of random numbers for each item of the batch, for its masks, noise and crops.

        It depends on the seed, the epoch, the item's id and the key, so not on the rest of the batch. Validation draws
        the same in each epoch.
        """
        epoch = (batch.position.epoch if batch.position else 0) if self.training else -1
        names = [cut.id for cut in batch.cuts] or [str(number) for number in range(len(batch))]
        return [keyed_generator(seed, epoch, name, *key) for name in names]

    def predict(self, batch: Batch) -> list[Prediction]:
        loss = self.loss(batch)
        rows = [{"id": cut.id} for cut in batch.cuts]
        shared = {"loss": float(loss.total), "weight": float(loss.weight) / max(len(rows), 1)}
        return [{**row, **shared} for row in rows]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        weights = np.array([row["weight"] for row in predictions])
        losses = np.array([row["loss"] for row in predictions])
        return {"loss": Metric(float((losses * weights).sum() / max(weights.sum(), 1e-12)))}


def load_objective(name: str, upstream: Upstream, /, **options: Any) -> Objective:
    """An objective by name on an encoder, which it will train.

    Raises UnknownNameError, and ConfigError for an unknown option or an encoder that lacks what the objective needs.
    """
    kind = OBJECTIVES.load(name)
    _check_needs(name, getattr(kind, "needs", ()), upstream)
    merged = {**OBJECTIVES.card(name).options, **options}
    objective = make(kind, merged, upstream, where=f"options of objective {name}")
    if not isinstance(objective, Objective):
        raise TypeError(f"{name} made a {type(objective).__name__}, not an Objective.")
    return objective


def _check_needs(name: str, needs: Sequence[str], upstream: Upstream) -> None:
    missing = [need for need in needs if not hasattr(upstream, need)]
    if missing:
        known = [other for other in UPSTREAMS.names() if getattr(UPSTREAMS.card(other), "objective", "") == name]
        fix = f"pre-train {' or '.join(known[:3])}" if known else "choose another encoder or another objective"
        lacks = "none of them" if len(missing) == len(needs) else f"no {', '.join(missing)}"
        raise ConfigError(
            f"Objective {name!r} needs an encoder with {', '.join(needs)}, and "
            f"{upstream.name or type(upstream).__name__!r} has {lacks}; {fix}."
        )
