"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "best_rq",
        "audiossl.objectives.best_rq.objective:BestRqObjective",
        "Labels of masked frames, which a fixed random projection of log mel frames gives, are predicted.",
        "Chiu et al., BEST-RQ, 2022, arXiv:2202.01855",
        toy={"num_codes": 16, "code_width": 4},
    ),
)
