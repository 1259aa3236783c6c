"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "dino",
        "audiossl.objectives.dino.objective:DinoObjective",
        "Crops of an utterance agree with what an averaged copy of the encoder makes of longer ones.",
        "Caron et al., DINO, 2021, arXiv:2104.14294",
        toy={"outputs": 32, "hidden_width": 16, "bottleneck": 8, "long_s": 0.4, "short_s": 0.2},
    ),
)
