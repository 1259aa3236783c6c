"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "intent_classification",
        "audiossl.downstreams.intent_classification.task:IntentClassification",
        "What an utterance asks for: a label for each of several slots, right where all are.",
        "Lugosch et al., 2019, arXiv:1904.03670; Yang et al., SUPERB, 2021, arXiv:2105.01051",
        toy={"slots": ["label", "take"], "projector_width": 16},
    ),
)
