"""Cards: what is known of a plugin without importing it. This module and every `cards.py` import no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Card:
    """One name that a user can type.

    target: 'module:attribute' of what makes it.
    options: arguments that the name stands for.
    commands: what it adds to the command line, 'module:function' by the command's name. The module imports nothing
        heavy.
    references: what it adds to the ways of naming an encoder, 'module:function' by the word before the colon. The
        function is given what follows that, and gives an encoder.
    heads: 'module:function' of what reads its head in a checkpoint of another toolkit, which is then a run. The
        function is given an `Original`, and gives a `PublishedHead`, or None where there is none of its kind.
    to_transformers: 'module:function' of what writes a trained task as a folder of transformers. The function is given
        the task and the folder, and gives why there is no such form, '' where it was written.
    toy: options of a tiny instance, for tests of every name.
    """

    name: str
    target: str
    summary: str = ""
    paper: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    heads: str = ""
    to_transformers: str = ""
    toy: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Without what is there for tests."""
        return {key: value for key, value in asdict(self).items() if key != "toy" and value not in ("", None, {}, ())}


@dataclass(frozen=True)
class UpstreamCard(Card):
    """An encoder's card.

    weights: '' if the encoder has nothing to learn, a file beside cards.py for weights that ship with the package,
        'hf:<repository>' or 'https://...' for published ones.
    architecture: True where the name gives a shape but no weights at all.
    objective: the name of what pre-trains it, where no other is asked for.
    unverified: which facts of the card, or what else about the weights, nobody has checked against the files.
    """

    weights: str = ""
    sha256: str = ""
    architecture: bool = False
    objective: str = ""
    licence: str = ""
    sample_rate_hz: int = 16000
    num_parameters: int = 0
    training: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    unverified: str = ""
