"""Heads that make one embedding of a sequence: poolings, x-vectors (Snyder et al., 2018) and ECAPA-TDNN.

Padding never changes an embedding: convolutions of the x-vector take no padding at all, so that a frame beyond an item
reaches none that is pooled, and ECAPA-TDNN, whose convolutions mirror the end of what they are given, is given nothing
but real frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
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
    """ECAPA-TDNN as speechbrain has it (Desplanques et al., 2020, arXiv:2005.07143), with exact lengths.

    In evaluation, items of equal length go through it together, without padding. In training, where batch normalisation
    makes an item depend on the others anyway, shorter items are repeated from their beginning to the longest, so that
    no frame of padding enters the statistics. A batch of one item, which has none, uses the running ones.

    width: of the sequence.
    channels: of the convolutions, a multiple of 8.
    embedding_width: of what is compared and trained.
    dropout: on every convolution.
    Raises ConfigError for another number of channels.
    """

    DILATIONS = (1, 2, 3, 4, 1)
    KERNELS = (5, 3, 3, 3, 1)

    def __init__(self, width: int, channels: int, embedding_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

        if channels % 8:
            raise ConfigError(f"ecapa_channels={channels} must be a multiple of 8, the groups of its Res2Net blocks.")
        self.model = ECAPA_TDNN(
            width,
            lin_neurons=embedding_width,
            channels=[channels] * 4 + [3 * channels],
            kernel_sizes=list(self.KERNELS),
            dilations=list(self.DILATIONS),
            dropout=dropout,
        )
        reach = max(d * (k - 1) // 2 for k, d in zip(self.KERNELS, self.DILATIONS, strict=True))
        self.min_frames = reach + 1  # there must be so much to mirror
        self.out_width = self.loss_width = embedding_width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self._train(x, lengths) if self.training else self._evaluate(x, lengths)
        return embedding, embedding

    def _train(self, x: Tensor, lengths: Tensor) -> Tensor:
        batch, frames, width = x.shape
        places = torch.arange(frames, device=x.device) % lengths.to(x.device)[:, None]  # (B, T)
        whole = x.gather(1, places[..., None].expand(batch, frames, width))
        if batch > 1:
            return self._embed(whole)
        self.model.eval()
        try:
            return self._embed(whole)
        finally:
            self.model.train()

    def _evaluate(self, x: Tensor, lengths: Tensor) -> Tensor:
        found = x.new_zeros(len(x), self.out_width)
        for length in lengths.unique().tolist():
            rows = (lengths == length).to(x.device)
            found[rows] = self._embed(x[rows, :length]).to(found.dtype)
        return found

    def _embed(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.model(x).squeeze(1)  # (B, 1, E) -> (B, E)
        return embedding
