"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "data2vec",
        "audiossl.objectives.data2vec.objective:Data2VecObjective",
        "Masked frames tell the mean of the top layers of an averaged copy that hears everything.",
        "Baevski et al., data2vec, 2022, arXiv:2202.03555; data2vec 2.0, 2022, arXiv:2212.07525",
        toy={"top_layers": 2, "first_tau": 0.9},
    ),
)
