"""Cards: what is known of a plugin without importing it. This module and every `cards.py` import no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Card:
    """One name that a user can type.

    target: 'module:attribute' of what makes it; options: arguments that the name stands for.
    """

    name: str
    target: str
    summary: str = ""
    paper: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in ("", None, {}, ())}


@dataclass(frozen=True)
class UpstreamCard(Card):
    """An encoder's card.

    weights: '' if the encoder has nothing to learn; a file beside cards.py for weights that ship with the package;
    'hf:<repository>' or 'https://...' for published ones. architecture: True where the name gives a shape but no weights at all.
    objective: 'module:attribute' of its pre-training task. toy: options of a tiny instance, for tests of every name.
    """

    weights: str = ""
    sha256: str = ""
    architecture: bool = False
    objective: str = ""
    toy: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    sample_rate_hz: int = 16000
    num_parameters: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
