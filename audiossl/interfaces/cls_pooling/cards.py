"""Names of this interface (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "cls_pooling",
        "audiossl.interfaces.cls_pooling.interface:ClsPooling",
        "A learnt query attends to the layers of each frame.",
        "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209",
    ),
)
