"""Heads that make one embedding of a sequence: poolings, x-vectors (Snyder et al., 2018), ECAPA-TDNN and others.

Padding never changes an embedding: convolutions of the x-vector take no padding at all, so that a frame beyond an item
reaches none that is pooled, those of ECAPA-TDNN mirror each item at its own end, and those of MFA-Conformer, RawNet3
and SKA-TDNN meet zeros there (`nn.frame_layers`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.nn.conformer import MultiScaleConformer
from audiossl.nn.ecapa import EcapaTdnn
from audiossl.nn.frame_layers import VectorNorm
from audiossl.nn.masking import valid_frames
from audiossl.nn.pooling import AttentiveStatisticsPooling, make_pooling
from audiossl.nn.rawnet import RawNetFrames
from audiossl.nn.selective_kernel import SkaTdnnFrames

_MOST_ATTENDED = 10_000  # frames of a recording that attention compares in pairs: 400 MB for each head


class Head(nn.Module, ABC):
    """x (B, T, width), lengths (B,) frames, each at least `min_frames` and at most `max_frames` -> what trials compare
    (B, E), and what the loss sees (B, E'), which may be the same."""

    num_parts: ClassVar[int] = 1  # sequences that it wants side by side
    min_frames: int = 1
    max_frames: int | None = None  # None for any number
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


class StatisticsOfFrames(Head):
    """A network over frames, attentive statistics of what it makes, batch normalisation and a linear layer.

    The attention has a tanh between its layers, where published code of these heads has a ReLU and batch normalisation.

    frames: called with x (B, T, width) and lengths (B,), gives (B, T, out_width).
    out_width: of the frames.
    embedding_width: of what is compared and trained.
    dropout: on the pooled vector.
    """

    def __init__(self, frames: nn.Module, out_width: int, embedding_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.frames, self.pooling = frames, AttentiveStatisticsPooling(out_width)
        self.norm, self.dropout = VectorNorm(self.pooling.out_width), nn.Dropout(dropout)
        self.segment = nn.Linear(self.pooling.out_width, embedding_width)
        self.out_width = self.loss_width = embedding_width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = lengths.to(x.device)
        pooled = self.norm(self.pooling(self.frames(x, lengths), lengths))
        embedding: Tensor = self.segment(self.dropout(pooled))
        return embedding, embedding


class FactorizedAttention(Head):
    """Multi-head factorised attentive pooling of layers (MHFA, Peng et al., 2022, arXiv:2210.01273).

    The sequence has keys and values side by side, each a weighted sum of the layers with weights of its own. Each head
    has a softmax over time of what the compressed keys score, and a mean of the compressed values with these weights.

    width: of keys and values together.
    heads: of attention.
    inside: width of compressed keys and values.
    embedding_width: of what is compared and trained.
    dropout: on the pooled vector.
    """

    num_parts = 2

    def __init__(self, width: int, heads: int, inside: int, embedding_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.keys, self.values = nn.Linear(width // 2, inside), nn.Linear(width // 2, inside)
        self.scores, self.dropout = nn.Linear(inside, heads), nn.Dropout(dropout)
        self.segment = nn.Linear(heads * inside, embedding_width)
        self.out_width = self.loss_width = embedding_width

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        valid = valid_frames(lengths.to(x.device), x.shape[1])[..., None]  # (B, T, 1)
        keys, values = torch.where(valid, x, x.new_zeros(())).chunk(2, dim=-1)
        scores = self.scores(self.keys(keys)).float().masked_fill(~valid, -torch.inf)  # (B, T, H)
        compressed = self.values(values)  # (B, T, inside)
        pooled = scores.softmax(dim=1).to(compressed.dtype).transpose(1, 2) @ compressed  # (B, H, inside)
        embedding: Tensor = self.segment(self.dropout(pooled.flatten(1)))
        return embedding, embedding


def _x_vector(width: int, config: SpeakerVerificationConfig, tdnn: Sequence[Sequence[int]]) -> Head:
    return XVector(
        width,
        tdnn,
        projector_width=config.projector_width,
        pooling=config.pooling,
        embedding_width=config.embedding_width,
        segment_layers=config.segment_layers,
        norm=config.norm,
        dropout=config.dropout,
    )


def _mfa(width: int, config: SpeakerVerificationConfig) -> Head:
    own = config.mfa
    frames = MultiScaleConformer(
        width, own.width, own.blocks, own.heads, own.feed_forward, own.kernel_size, config.dropout
    )
    head = StatisticsOfFrames(frames, frames.out_width, config.embedding_width, config.dropout)
    head.max_frames = _MOST_ATTENDED
    return head


def _rawnet3(width: int, config: SpeakerVerificationConfig) -> Head:
    frames = RawNetFrames(width, config.rawnet3.channels, config.rawnet3.frame_width)
    return StatisticsOfFrames(frames, frames.out_width, config.embedding_width, config.dropout)


def _ska_tdnn(width: int, config: SpeakerVerificationConfig) -> Head:
    own = config.ska_tdnn
    frames = SkaTdnnFrames(width, own.bands, own.front_channels, own.channels, own.frame_width)
    return StatisticsOfFrames(frames, frames.out_width, config.embedding_width, config.dropout)


HEADS: dict[str, Callable[[int, SpeakerVerificationConfig], Head]] = {
    "pooled": lambda width, config: _x_vector(width, config, []),
    "xvector": lambda width, config: _x_vector(width, config, config.tdnn),
    "ecapa": lambda width, config: Ecapa(width, config.ecapa_channels, config.embedding_width, config.dropout),
    "mfa": _mfa,
    "rawnet3": _rawnet3,
    "ska_tdnn": _ska_tdnn,
    "mhfa": lambda width, config: FactorizedAttention(
        width, config.mhfa.heads, config.mhfa.width, config.embedding_width, config.dropout
    ),
}


def make_head(config: SpeakerVerificationConfig, width: int, num_parts: int = 1) -> Head:
    """The head of a configuration.

    config: with the name of the head, and its sizes.
    width: of the sequence.
    num_parts: sequences of equal width that are side by side in it.
    Raises ConfigError for sizes that do not fit, and for a head that reads keys and values where there are none.
    """
    head = HEADS[config.head](width, config)
    if head.num_parts > 1 and head.num_parts != num_parts:
        raise ConfigError(
            f"task.head={config.head} reads {head.num_parts} weighted sums of the layers side by side, keys and "
            f"values; set interface=parallel_sums, and leave interface_options.width out."
        )
    return head
