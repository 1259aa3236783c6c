"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "distil",
        "audiossl.objectives.distil.objective:DistilObjective",
        "Layers of a frozen teacher, any encoder, are predicted from layers of a student.",
        "Chang, Yang and Lee, DistilHuBERT, 2022, arXiv:2110.01900",
        toy={"teacher": "log_mel", "pairs": [[-1, 0]]},
    ),
)
