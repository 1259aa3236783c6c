"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "multi_view",
        "audiossl.objectives.multi_view.objective:MultiViewObjective",
        "Each view of a recording finds the other views of it among those of all recordings of the batch.",
        "Pairwise-CL, 2024, arXiv:2406.07900",
    ),
)
