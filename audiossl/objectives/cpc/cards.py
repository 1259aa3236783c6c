"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "cpc",
        "audiossl.objectives.cpc.objective:CpcObjective",
        "Frames to come are told from others of the utterance by what was heard before, quantised or not.",
        "Schneider et al., wav2vec, 2019, arXiv:1904.05862; Baevski et al., vq-wav2vec, 2019, arXiv:1910.05453",
        toy={"steps": 4, "distractors": 5},
    ),
)
