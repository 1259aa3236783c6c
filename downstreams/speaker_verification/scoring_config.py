"""How trials are scored: back end, normalisation, quality measures, and the file of scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from audiossl.core.ranges import Count

Measure = Literal["duration", "magnitude", "snr", "cohort"]


@dataclass(frozen=True)
class ScoringConfig:
    """What makes a score of two embeddings. The defaults are the cosine, calibrated on dev."""

    SHORT: ClassVar[str] = "backend"

    backend: Literal["cosine", "plda"] = "cosine"
    """The cosine, or the log-likelihood ratio of two-covariance PLDA, fitted on the training items."""
    lda: Count | None = None
    """Dimensions after LDA, fitted on the training items. Null for none before the cosine, and for as many as these can
    tell apart before PLDA."""
    wccn: bool = False
    """Whether the covariance within speakers of the training items is made the identity."""
    plda_steps: Count = 10
    """Steps of EM."""
    norm: Literal["none", "s_norm", "as_norm"] = "none"
    """Normalisation of scores by a cohort: 's_norm' by all of it, 'as_norm' by the nearest of each side."""
    top_k: Count = 300
    """How many of the cohort as_norm takes. A smaller cohort is taken whole."""
    cohort: str = ""
    """Manifest of the cohort, relative to the working folder. Empty for the training items. The recordings of a speaker
    are one member, the mean of their embeddings."""
    measures: list[Measure] = field(default_factory=list)
    """Quality measures beside the score in the calibration: 'duration' (its logarithm), 'magnitude' (of the embedding),
    'snr' (estimated, in dB), 'cohort' (the mean score of the nearest of the cohort)."""
    score_file: Literal["", "voxceleb", "kaldi", "nist"] = ""
    """Form of the file of scores beside the predictions. Empty for no such file."""

    @property
    def is_plain(self) -> bool:
        """Whether it is the cosine of embeddings as they are, with nothing to fit but the calibration."""
        return (self.backend, self.lda, self.wccn, self.norm, self.measures) == ("cosine", None, False, "none", [])

    @property
    def title(self) -> str:
        """What a score is, in words."""
        if self.measures:
            return "log-likelihood ratio"
        steps = [*(["lda"] if self.lda else []), *(["wccn"] if self.wccn else []), self.backend]
        return ", ".join([*steps, *([] if self.norm == "none" else [self.norm])])

    @property
    def needs_cohort(self) -> bool:
        return self.norm != "none" or "cohort" in self.measures

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are fitted on: train where anything is, and dev for the calibration."""
        fitted = self.backend != "cosine" or self.lda is not None or self.wccn
        return ("train", "dev") if fitted or (self.needs_cohort and not self.cohort) else ("dev",)
