"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "emotion",
        "audiossl.downstreams.emotion.task:Emotion",
        "The emotion of an utterance, by weighted and unweighted accuracy.",
        "Schuller et al., INTERSPEECH 2009 emotion challenge; Yang et al., SUPERB, 2021, arXiv:2105.01051",
    ),
)
