"""Fitted factors, with the units and the layer of the encoder that they are of. A folder keeps them.

units.safetensors, units.json    the units, as `audiossl units fit` writes them
factors.safetensors              `means` and `variances` (K, D), `loadings` (K, D, R), float32
factors.json                     everything else (`FactorsCard`)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import AudiosslError, CheckpointError, first_line
from audiossl.core.files import read_json, write_json
from audiossl.core.tensors import read_tensors, write_tensors
from audiossl.encoders.upstream import Upstream
from audiossl.features.units.quantizer import Units
from audiossl.nn.factors import FactorAnalysis, FactorParameters

TENSORS, CARD = "factors.safetensors", "factors.json"
_NAMES = ("means", "loadings", "variances")


@dataclass(frozen=True)
class FactorsCard:
    """What a folder says of its factors."""

    units: str
    """The fingerprint of their units."""
    layer: int
    """The hidden state."""
    clusters: int
    """K."""
    width: int
    """D of a frame."""
    rank: int
    """R."""
    log_likelihoods: list[float] = field(default_factory=list)
    """Nats a frame before each iteration, and after the last."""
    empty_clusters: list[int] = field(default_factory=list)
    """Clusters without a frame, which say nothing of factors."""
    num_recordings: int = 0
    """That were encoded."""
    num_frames: int = 0
    """Of them all."""
    settings: dict[str, Any] = field(default_factory=dict)
    """By which they were fitted."""
    manifests: list[str] = field(default_factory=list)
    """Of the recordings."""
    command: str = ""
    """That fitted them."""


class Factors:
    """A model of an encoder's layer, and its units."""

    def __init__(self, units: Units, parameters: FactorParameters, card: FactorsCard) -> None:
        self.units, self.parameters, self.card = units, parameters, card

    def check_encoder(self, upstream: Upstream, where: str = "These factors") -> None:
        """Raise CheckpointError for another encoder than the one that they are of."""
        self.units.check_encoder(upstream, where, fit_by="audiossl factors fit")

    def model(self) -> FactorAnalysis:
        """The pooling, in evaluation mode and without gradients."""
        card = self.card
        made = FactorAnalysis(card.width, card.clusters, card.rank)
        made.adopt(self.parameters)
        return made.requires_grad_(False).eval()

    @torch.no_grad()
    def of_states(self, model: FactorAnalysis, states: Tensor) -> Tensor:
        """The factors (R,) of the hidden states (T, D) of a recording, by `model()`."""
        found: Tensor = model(states.float()[None], torch.tensor([len(states)]))
        return found[0]

    def save(self, folder: Path) -> None:
        """Write the folder. Raises OutputError."""
        self.units.save(folder)
        kept = {name: getattr(self.parameters, name) for name in _NAMES}
        write_tensors(folder / TENSORS, kept, {"units": self.card.units})
        write_json(folder / CARD, as_dict(self.card))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises CheckpointError for a folder that is missing, damaged or of two halves."""
        card, units = read_card(folder), Units.load(folder)
        tensors, said = read_tensors(folder / TENSORS)
        if card.units != units.card.fingerprint or said.get("units") != card.units:
            raise CheckpointError(f"{folder} has factors of other units than its own; fit or copy all of it again.")
        sizes = (card.clusters, card.width)
        if tensors.keys() != set(_NAMES) or tensors["loadings"].shape != (*sizes, card.rank):
            raise CheckpointError(f"{folder / TENSORS} has no loadings {(*sizes, card.rank)}; copy it again.")
        return cls(units, FactorParameters(units.centres, **tensors), card)


def read_card(folder: Path) -> FactorsCard:
    """What a folder says of its factors. Raises CheckpointError for one that has none."""
    if not is_factors_folder(folder):
        raise CheckpointError(f"{folder} has no {CARD}, so no factors; fit some with `audiossl factors fit`.")
    try:
        return structured(FactorsCard, read_json(folder / CARD), where=str(folder / CARD))
    except AudiosslError as error:
        raise CheckpointError(f"{folder} does not say what its factors are: {first_line(error)}") from error


def is_factors_folder(place: Path) -> bool:
    """Whether fitted factors lie there."""
    return (place / CARD).is_file()
