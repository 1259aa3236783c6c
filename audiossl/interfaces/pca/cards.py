"""Names of this interface (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "pca",
        "audiossl.interfaces.pca.interface:Pca",
        "Principal components of each layer, concatenated.",
        "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209",
    ),
)
