"""Heads that make one embedding of a sequence: poolings, x-vectors (Snyder et al., 2018) and ECAPA-TDNN.

Padding never changes an embedding: convolutions of the x-vector take no padding at all, so that a frame beyond an item
reaches none that is pooled, and those of ECAPA-TDNN mirror each item at its own end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.ecapa import EcapaTdnn
from audiossl.nn.pooling import make_pooling


class Head(nn.Module, ABC):
    """x (B, T, width), lengths (B,) frames, each at least `min_frames` -> what trials compare (B, E), and what the loss
    sees (B, E'), which may be the same."""

    min_frames: int = 1
    out_width: int
    loss_width: int

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...


class XVector(Head):
    """A projection, time-delay layers, a pooling over time, and one or two linear layers.

    width: of the sequence.
    tdnn: (width, context, dilation) of each time-delay layer, a convolution and a ReLU. Without any, the pooling reads
        the projection.
    projector_width: of the projection. None for no projection.
    pooling: its name.
    embedding_width: of what trials compare.
    segment_layers: 1, a linear layer, whose output is compared and trained. Or 2, as SUPERB has it: two linear layers
        with a ReLU after each. Trials then compare the first, and the loss sees the second.
    norm: layer normalisation of each frame after the ReLU.
    dropout: on the pooled vector.
    Raises ConfigError for time-delay layers that are none, and another number of segment layers.
    """

    def __init__(
        self,
        width: int,
        tdnn: Sequence[Sequence[int]],
        *,
        projector_width: int | None,
        pooling: str,
        embedding_width: int,
        segment_layers: int = 1,
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if any(len(layer) != 3 or min(layer) < 1 for layer in tdnn):
            raise ConfigError("tdnn: each layer is a list of three numbers above 0, [width, context, dilation].")
        if segment_layers not in (1, 2):
            raise ConfigError(f"segment_layers={segment_layers} must be 1 or 2.")
        self.projector = nn.Linear(width, projector_width) if projector_width else nn.Identity()
        # Convolutions without padding: each shortens the sequence, by `min_frames - 1` in all.
        inputs = [projector_width or width, *(layer[0] for layer in tdnn)]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, context, dilation=dilation)
            for before, (after, context, dilation) in zip(inputs, tdnn, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(layer[0]) if norm else nn.Identity() for layer in tdnn)
        self.min_frames = 1 + sum((context - 1) * dilation for _, context, dilation in tdnn)
        self.pooling = make_pooling(pooling, inputs[-1])
        self.dropout = nn.Dropout(dropout)
        # The second layer is for the loss alone.
        self.segment = nn.Linear(self.pooling.out_width, embedding_width)
        self.second = nn.Linear(embedding_width, embedding_width) if segment_layers == 2 else None
        self.out_width = self.loss_width = embedding_width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.projector(x)
        for convolution, norm in zip(self.layers, self.norms, strict=True):
            x = norm(convolution(x.transpose(1, 2)).relu().transpose(1, 2))  # (B, T, D)
        pooled = self.pooling(x, lengths - (self.min_frames - 1))
        embedding: Tensor = self.segment(self.dropout(pooled))
        if self.second is None:
            return embedding, embedding
        embedding = embedding.relu()
        return embedding, self.second(embedding).relu()


class Ecapa(Head):
    """ECAPA-TDNN, see `nn.ecapa`.

    width: of the sequence.
    channels: of the convolutions, a multiple of 8.
    embedding_width: of what is compared and trained.
    dropout: of whole channels.
    Raises ConfigError for another number of channels.
    """

    def __init__(self, width: int, channels: int, embedding_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        if channels % 8:
            raise ConfigError(f"ecapa_channels={channels} must be a multiple of 8, the groups of its Res2Net blocks.")
        self.model = EcapaTdnn(width, channels, embedding_width, dropout)
        self.min_frames = self.model.min_frames
        self.out_width = self.loss_width = embedding_width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        embedding: Tensor = self.model(x, lengths)
        return embedding, embedding
