"""Names of these objectives (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

_PAPER = "Baevski, Auli and Mohamed, Effectiveness of self-supervised pre-training, 2019, arXiv:1911.03912"

CARDS: tuple[Card, ...] = (
    Card(
        "masked_units",
        "audiossl.objectives.bert.objective:MaskedUnits",
        "The units of masked frames of the encoder's own input are told from all units.",
        _PAPER,
    ),
    Card(
        "masked_contrast",
        "audiossl.objectives.bert.objective:MaskedContrast",
        "The masked frames of the encoder's own input are told from others of the utterance.",
        _PAPER,
        toy={"distractors": 5, "projection_width": 8},
    ),
)
