"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "joint",
        "audiossl.objectives.joint.objective:JointObjective",
        "Several objectives train one encoder together: the weighted sum of their losses.",
        toy={"terms": {"distil": {"options": {"teacher": "log_mel", "pairs": [[-1, 0]]}}}},
    ),
)
