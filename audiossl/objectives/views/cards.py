"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "views",
        "audiossl.objectives.views.objective:ViewsObjective",
        "Two crops of an utterance, in other rooms and noise, are told from those of all others.",
        "Chen et al., SimCLR, 2020, arXiv:2002.05709",
    ),
)
