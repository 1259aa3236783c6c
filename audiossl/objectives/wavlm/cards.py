"""Names of this objective (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "wavlm",
        "audiossl.objectives.wavlm.objective:WavlmObjective",
        "As hubert, where some utterances are heard beside a part of another one, or noise, and keep their own units.",
        "Chen et al., WavLM, 2022, arXiv:2110.13900",
        toy={"clusters": 6, "projection_width": 8, "mix_prob": 0.5, "noise_prob": 1.0},
    ),
)
