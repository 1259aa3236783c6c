"""The contract of a downstream: upstream, interface and head, with a loss and a metric."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.interface import Interface
from audiossl.task import Task
from audiossl.types import Batch, Features
from audiossl.upstream import Upstream


class Downstream(Task):
    """A head on the sequence that an interface makes of a frozen upstream's layers.

    A subclass has a `Config` dataclass, writes `complete` (what only the training data can say, for instance the
    list of labels), builds its head in the constructor and reads `self.sequence(batch)`.
    """

    Config: ClassVar[type]

    def __init__(self, upstream: Upstream, interface: Interface) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(False).eval()
        self.interface = interface

    @classmethod
    @abstractmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """The configuration with everything filled in that the training data determine."""

    @abstractmethod
    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raise LabelError, ... for rows that this task cannot use; called before any training or evaluation."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.upstream.eval()  # frozen: dropout and running statistics stay off
        return self

    def features(self, batch: Batch) -> Features:
        """Hidden states of the frozen upstream, in its own dtype and without a graph."""
        with torch.no_grad():
            features: Features = self.upstream(batch.wavs, batch.lengths)
        return features

    def sequence(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the head reads: (B, T, interface.width) and its (B,) lengths in frames."""
        features = self.features(batch)
        return self.interface(features), features.lengths

    @property
    def needs_fit(self) -> bool:
        return self.interface.needs_fit

    def fit(self, batches: Iterable[Batch]) -> None:
        self.interface.fit(self.features(batch) for batch in batches)

    def trainable_state(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.state_dict().items() if not name.startswith("upstream.")}
