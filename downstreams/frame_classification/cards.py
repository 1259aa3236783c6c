"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "frame_classification",
        "audiossl.downstreams.frame_classification.task:FrameClassification",
        "A label for every frame, such as the phone that is spoken, from alignments.",
        "TERA, 2020, arXiv:2007.06028 (phoneme classification by linear and one-hidden-layer heads)",
    ),
)
