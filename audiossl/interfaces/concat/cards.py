"""Names of this interface (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "concat",
        "audiossl.interfaces.concat.interface:Concat",
        "All layers concatenated, with a learnt projection.",
        "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209",
    ),
)
