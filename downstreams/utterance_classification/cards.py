"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "utterance_classification",
        "audiossl.downstreams.utterance_classification.task:UtteranceClassification",
        "One label for a whole recording: keyword, speaker, emotion, language, species.",
        "Yang et al., SUPERB, 2021, arXiv:2105.01051",
    ),
)
