"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "hubert",
        "audiossl.objectives.hubert.objective:HubertObjective",
        "The unit (a cluster of cepstra, or of an encoder's layer) of masked frames is predicted.",
        "Hsu et al., HuBERT, 2021, arXiv:2106.07447",
        toy={"clusters": 6, "projection_width": 8},
    ),
)
