"""Names of this interface (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "hierarchical_conv",
        "audiossl.interfaces.hierarchical_conv.interface:HierarchicalConv",
        "Strided convolutions over the layer axis, frame by frame.",
        "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209",
    ),
)
