"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "wav2vec2",
        "audiossl.objectives.wav2vec2.objective:Wav2Vec2Objective",
        "Masked frames are told from distractors of the utterance by their quantised features.",
        "Baevski et al., wav2vec 2.0, 2020, arXiv:2006.11477",
        toy={"codes": 8, "code_width": 8, "projection_width": 8, "distractors": 5, "diversity": "item"},
    ),
)
