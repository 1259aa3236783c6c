"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "speaker_verification",
        "audiossl.downstreams.speaker_verification.task:SpeakerVerification",
        "Whether two recordings are of one speaker, by the cosine of their embeddings.",
        "Snyder et al., X-vectors, 2018; Desplanques et al., ECAPA-TDNN, 2020, arXiv:2005.07143",
        commands={
            "verify": "audiossl.downstreams.speaker_verification.cli:verify",
            "diarize": "audiossl.downstreams.speaker_verification.diarizing.cli:diarize",
            "identify": "audiossl.downstreams.speaker_verification.cli:identify",
            "score-again": "audiossl.downstreams.speaker_verification.cli:score_again",
            "score-trials": "audiossl.downstreams.speaker_verification.cli:score_trials",
        },
        references={"extractor": "audiossl.downstreams.speaker_verification.extractor:load_extractor"},
        toy={"head": "pooled", "projector_width": 16, "embedding_width": 8},
    ),
)
