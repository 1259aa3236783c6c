"""Utterance factors as the pooling of a head: read from a folder before training, and kept in the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import CountOrZero, NonNegative
from audiossl.encoders.upstream import Upstream
from audiossl.features.factors.fitted import Factors, read_card
from audiossl.nn.factors import FactorAnalysis
from audiossl.training.interface import Interface


@dataclass(frozen=True)
class FactorsHead:
    """Fitted factors of one layer. `task.factors: FOLDER` is short for its path."""

    SHORT: ClassVar[str] = "path"

    path: str = ""
    """Folder of `audiossl factors fit`, for the encoder and for the layer that the interface reads."""
    loss_weight: NonNegative | None = None
    """Null keeps factors as they were fitted. A number trains them with the head, and an encoder that trains too, with
    so many times the negative log evidence of the frames in the loss, in nats a frame and channel."""
    shape: list[CountOrZero] = field(default_factory=list)
    """Layer, clusters, width and rank. They are filled in from the folder."""


def with_shape(config: FactorsHead) -> FactorsHead:
    """The configuration with what the folder says of its sizes. Raises ConfigError, CheckpointError."""
    if config.shape:
        return config
    if not config.path:
        raise ConfigError(
            "task.pooling=factors needs fitted ones; name their folder by task.factors=FOLDER (`audiossl factors fit`)."
        )
    card = read_card(Path(config.path))
    return replace(config, shape=[card.layer, card.clusters, card.width, card.rank])


def factor_pooling(config: FactorsHead, interface: Interface) -> FactorAnalysis:
    """The pooling, which waits for `adopt_factors` or a checkpoint.

    Raises ConfigError for an interface that gives another sequence than the states of the factors' layer.
    """
    if len(config.shape) != 4:
        raise ConfigError("task.factors: `complete` reads layer, clusters, width and rank from the folder.")
    layer, clusters, width, rank = config.shape
    if interface.layers_read != (layer,) or interface.width != width or not interface.commutes_with_mean:
        raise ConfigError(
            f"task.pooling=factors reads layer {layer} of the encoder as it is; set interface=layer "
            f"interface_options.index={layer}, and no width."
        )
    made = FactorAnalysis(width, clusters, rank)
    return made.requires_grad_(config.loss_weight is not None)


def adopt_factors(pooling: FactorAnalysis, config: FactorsHead, upstream: Upstream) -> None:
    """Read what was fitted. Raises CheckpointError for another encoder than it was fitted on."""
    factors = Factors.load(Path(config.path))
    factors.check_encoder(upstream, f"The factors of {config.path}")
    pooling.adopt(factors.parameters)


def evidence_loss(pooling: FactorAnalysis, sequence: Tensor, lengths: Tensor) -> Tensor:
    """Negative log evidence (B,) in nats a frame and channel of states (B, T, D) with lengths (B,)."""
    evidence: Tensor = pooling.evidence(sequence, lengths)
    return -evidence / (lengths.to(evidence.device).clamp(min=1) * pooling.width)
