"""What settings of scoring need, and what they are called."""

from __future__ import annotations

from audiossl.core.config import structured
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig


def test_what_is_fitted() -> None:
    assert ScoringConfig().is_plain
    assert ScoringConfig().within_speaker is None
    assert not ScoringConfig(norm="as_norm").fits_backend
    assert ScoringConfig(lda=3).within_speaker == "recordings of a speaker"
    told = ScoringConfig(backend="plda", parts_s=3.0).within_speaker
    assert told == "parts of 3 s of recordings, which are not sessions"
    assert ScoringConfig(measures=["cohort"]).needs_cohort
    assert not ScoringConfig(measures=["duration"]).is_plain


def test_the_title_of_a_score_and_the_short_form() -> None:
    assert ScoringConfig().title == "cosine"
    assert ScoringConfig(lda=3, wccn=True, norm="s_norm").title == "lda, wccn, cosine, s_norm"
    assert ScoringConfig(measures=["snr"]).title == "log-likelihood ratio"
    assert structured(SpeakerVerificationConfig, {"scoring": "plda"}).scoring == ScoringConfig(backend="plda")
