"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "tera",
        "audiossl.objectives.tera.objective:TeraObjective",
        "Spectral frames are altered along time, frequency and magnitude, and reconstructed.",
        "Liu, Li and Lee, TERA, 2021, arXiv:2007.06028",
        toy={"magnitude": 0.0},
    ),
)
