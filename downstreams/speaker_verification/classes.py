"""The classes of training: the speakers, each at several speeds where those count as speakers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.data.config import LoaderConfig
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.nn.losses import MarginSoftmax


class SpeakerClasses(NamedTuple):
    """Every speaker at the first speed, every speaker at the second, and so on.

    speakers: of training, in order.
    speeds: that are told apart. () where they are not.
    """

    speakers: Sequence[str]
    speeds: Sequence[float] = ()

    def __len__(self) -> int:
        return len(self.speakers) * max(1, len(self.speeds))

    @property
    def places(self) -> dict[tuple[str, float], int]:
        """The number of each class, by speaker and speed (1 where speeds are not told apart)."""
        pairs = [(speaker, speed) for speed in self.speeds or (1.0,) for speaker in self.speakers]
        return {pair: number for number, pair in enumerate(pairs)}


def classes_of(config: SpeakerVerificationConfig) -> SpeakerClasses:
    """The classes of a completed configuration."""
    return SpeakerClasses(tuple(config.speakers), tuple(config.speeds))


def speeds_of(config: SpeakerVerificationConfig, data: LoaderConfig) -> list[float]:
    """The speeds that are classes: 1, and the others of `data.speeds`. [] where they are not to be.

    Raises ConfigError where they are to be and no other speed than 1 is drawn.
    """
    if not config.speeds_as_speakers:
        return []
    if not set(data.speeds) - {1.0}:
        raise ConfigError(
            "task.speeds_as_speakers makes classes of the speeds of data.speeds, which has none beside 1; set "
            "data.speeds=[0.9,1.0,1.1], or leave task.speeds_as_speakers out."
        )
    return [1.0, *sorted(set(data.speeds) - {1.0})]


def make_criterion(config: SpeakerVerificationConfig, width: int) -> MarginSoftmax:
    """The loss of a completed configuration, for embeddings of that width. Raises ConfigError."""
    several = config.loss == "sub_center_aam"
    return MarginSoftmax(
        width,
        len(classes_of(config)),
        "aam" if several else config.loss,
        config.margin,
        config.scale,
        sub_centers=config.sub_centers if several else 1,
        top_k=config.top_k if several else 0,
        top_k_margin=config.top_k_margin,
    )


def carried_rows(new: Tensor, old: Tensor, classes: SpeakerClasses, before: SpeakerClasses) -> Tensor:
    """What is learnt of classes, one row or K rows each, where the classes are others now.

    new: the rows of `classes`, which those have that are new.
    old: the rows of `before`.
    classes: those of now.
    before: those of then.
    Rows of classes that are in both are those of `old`, where both have equally many of equal width.
    """
    each, rows = len(new) // len(classes), old.to(new).clone()
    if len(old) != each * len(before) or old.shape[1:] != new.shape[1:]:
        return new
    made, places = new.clone().unflatten(0, (len(classes), each)), before.places
    kept = [(number, places[pair]) for pair, number in classes.places.items() if pair in places]
    if kept:
        here, there = (torch.tensor(numbers, device=new.device) for numbers in zip(*kept, strict=True))
        made[here] = rows.unflatten(0, (len(before), each))[there]
    flat: Tensor = made.flatten(0, 1)
    return flat
