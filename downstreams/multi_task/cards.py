"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "multi_task",
        "audiossl.downstreams.multi_task.task:MultiTask",
        "Several targets of a recording, each a class, a level or a number; missing ones are masked.",
        "Caruana, 1997; Cao et al., CORAL, 2020, arXiv:1901.07884",
        toy={"targets": {"label": "class", "take": "ordinal", "rating": "number"}, "projector_width": 16},
    ),
)
