"""How trials are scored: back end, normalisation, quality measures, and the file of scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from audiossl.core.ranges import Count, Positive, Share

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
    shrinkage: Share | None = None
    """How far the covariance within speakers is drawn to a multiple of the identity, before WCCN, LDA and PLDA. Null
    for the share of Ledoit and Wolf, which falls as training items grow in number."""
    plda_steps: Count = 10
    """Steps of EM."""
    parts_s: Positive | None = None
    """Seconds of the parts that training recordings are cut into before anything is fitted on what varies within a
    speaker. Null for whole recordings."""
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
        return not (self.fits_backend or self.needs_cohort or self.measures)

    @property
    def within_speaker(self) -> str | None:
        """What the back end takes for what varies within a speaker, in words. None where it is not fitted."""
        if not self.fits_backend:
            return None
        if self.parts_s is None:
            return "recordings of a speaker"
        return f"parts of {self.parts_s:g} s of recordings, which are not sessions"

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
    def fits_backend(self) -> bool:
        """Whether the back end is fitted on training items."""
        return self.backend != "cosine" or self.lda is not None or self.wccn
