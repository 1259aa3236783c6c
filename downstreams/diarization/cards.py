"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "diarization",
        "audiossl.downstreams.diarization.task:FrameDiarization",
        "Who speaks when, of two speakers or any small number; writes RTTM.",
        "Fujita et al., End-to-end neural diarization, 2019, arXiv:1909.05952; SUPERB, 2021, arXiv:2105.01051",
        toy={"num_speakers": 2, "hidden": 8, "threshold": 0.5, "median_s": 0.05},
    ),
)
