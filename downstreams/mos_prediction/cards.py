"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "mos_prediction",
        "audiossl.downstreams.mos_prediction.task:MosPrediction",
        "The mean opinion score of a recording, with embeddings of listeners and domains.",
        "Saeki et al., UTMOS, 2022, arXiv:2204.02152",
        # The contrastive loss is one of pairs, so that no batch is the mean of its items.
        toy={
            "label_fields": ["rating"],
            "contrastive_weight": 0.0,
            "tau": 0.0,
            "lstm_width": 8,
            "hidden_width": 16,
            "embedding_width": 4,
            "dropout": 0.0,
        },
    ),
)
