"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "utterance_regression",
        "audiossl.downstreams.utterance_regression.task:UtteranceRegression",
        "Numbers for a whole recording: valence, arousal, dominance, severity, MOS.",
        "Lin, 1989 (CCC); Wagner et al., 2023, arXiv:2203.07378",
        commands={"stack": "audiossl.downstreams.utterance_regression.cli:stack"},
        toy={"label_fields": ["rating"]},
    ),
)
