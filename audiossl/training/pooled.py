"""One vector for a recording: what heads share that read a sequence by a linear layer and a pooling over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from audiossl.nn.pooling import MeanPooling, Pooling, make_pooling
from audiossl.training.downstream import Downstream


class PooledDownstream(Downstream):
    """Linear(D, W), pooling over time and dropout. A subclass builds them in its constructor by `build_pooling`.

    projector: the linear layer, or the identity.
    pooling: of what it gives.
    dropout: of the pooled vector.
    """

    projector: nn.Module
    pooling: Pooling
    dropout: nn.Dropout

    def build_pooling(
        self,
        projector_width: int | None,
        pooling: str | Callable[[int], Any],
        dropout: float,
        made: Pooling | None = None,
    ) -> int:
        """Build the layers, and return the width of the vector.

        projector_width: W. None for no such layer.
        pooling: its name, or what makes one for sequences of a width.
        dropout: share of the vector that training leaves out.
        made: a pooling that is there already, which reads the sequence itself.
        Raises ConfigError for an unknown pooling.
        """
        width = self.interface.width
        if projector_width is None or made is not None:
            self.projector = nn.Identity()
        else:
            self.projector, width = nn.Linear(width, projector_width), projector_width
        if made is None:
            made = make_pooling(pooling, width) if isinstance(pooling, str) else pooling(width)
        self.pooling = made
        self.dropout = nn.Dropout(dropout)
        return self.pooling.out_width

    def pooled(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) in the dtype of the layers, (B,) frames -> (B, W)."""
        found: Tensor = self.dropout(self.represent(sequence, lengths))
        return found

    def represent(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """The vector before its dropout."""
        if isinstance(self.pooling, MeanPooling):  # mean(W x + b) = W mean(x) + b: the same head, T times cheaper
            vector: Tensor = self.projector(self.pooling(sequence, lengths))
        else:
            vector = self.pooling(self.projector(sequence), lengths)
        return vector

    @property
    def represented_width(self) -> int:
        return int(self.pooling.out_width)

    @property
    def commutes_with_mean(self) -> bool:
        """Mean pooling comes first of all that the head does, dropout included."""
        return isinstance(self.pooling, MeanPooling)

    @property
    def stackable(self) -> bool:
        return self.dropout.p == 0
