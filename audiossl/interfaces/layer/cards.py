"""Names of these interfaces (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "last",
        "audiossl.interfaces.layer.interface:Last",
        "The last layer as it is.",
    ),
    Card(
        "layer",
        "audiossl.interfaces.layer.interface:Layer",
        "One layer, by its index.",
    ),
)
