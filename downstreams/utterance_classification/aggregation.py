"""How the frames of an utterance become one vector: a pooling by its name, or ECAPA-TDNN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from audiossl.core.errors import ConfigError, did_you_mean
from audiossl.core.ranges import Count
from audiossl.nn.ecapa import EcapaTdnn
from audiossl.nn.pooling import POOLINGS


@dataclass(frozen=True)
class EcapaHead:
    """ECAPA-TDNN between the projector and the classifier."""

    channels: Count = 512
    """Channels of the convolutions, a multiple of 8."""
    embedding_width: Count = 192
    """Width of the vector that the classifier reads."""

    def __post_init__(self) -> None:
        if self.channels % 8:
            raise ConfigError(
                f"task.ecapa.channels={self.channels} must be a multiple of 8, the groups of its Res2Net blocks."
            )


def chosen_pooling(name: str, ecapa: EcapaHead) -> str | Callable[[int], Any]:
    """The name of a pooling, or what makes one for sequences of a width.

    name: of a pooling, or 'factors', or 'ecapa'.
    ecapa: its sizes.
    Raises ConfigError for an unknown name.
    """
    if name == "ecapa":
        return lambda width: EcapaTdnn(width, ecapa.channels, ecapa.embedding_width)
    known = [*POOLINGS, "ecapa", "factors"]
    if name not in known:
        raise ConfigError(f"There is no pooling named {name!r}. {did_you_mean(name, known)}")
    return name


def fewest_frames(aggregation: nn.Module) -> int:
    """How many frames an utterance must have at least."""
    return aggregation.min_frames if isinstance(aggregation, EcapaTdnn) else 1
