"""Settings of speaker verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, ShareBelowOne
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig

XVECTOR_TDNN = [[512, 5, 1], [512, 3, 2], [512, 3, 3], [512, 1, 1], [1500, 1, 1]]


@dataclass(frozen=True)
class SpeakerVerificationConfig:
    """The head, the loss and the trials. The defaults are the sound setting, `superb.yaml` has the published one."""

    head: Literal["pooled", "xvector", "ecapa"] = "xvector"
    """What makes an embedding: 'pooled' (projection, pooling, embedding), 'xvector' (with time-delay layers before the
    pooling) or 'ecapa'."""
    projector_width: Count | None = 512
    """Width of the linear layer before pooled and xvector. Null for no such layer."""
    tdnn: list[list[Count]] = field(default_factory=lambda: [list(layer) for layer in XVECTOR_TDNN])
    """[width, context, dilation] of each time-delay layer of xvector."""
    norm: bool = False
    """Whether layer normalisation follows each time-delay layer."""
    pooling: str = "attentive_statistics"
    """Pooling over time of pooled and xvector: 'mean', 'max', 'attention', 'statistics' or 'attentive_statistics'."""
    segment_layers: Annotated[int, Range(1, 2)] = 1
    """Linear layers after the pooling of xvector: 1, whose output is compared and trained, or 2 with a ReLU after each,
    as in SUPERB, of which trials compare the first and the loss sees the second."""
    embedding_width: Count = 192
    """Width of an embedding."""
    ecapa_channels: Count = 512
    """Channels of ecapa, a multiple of 8, 512 or 1024 in the paper."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector, in ecapa of whole channels after its layers."""
    loss: Literal["softmax", "am", "aam"] = "aam"
    """Softmax over the training speakers: as it is, with an additive margin ('am') or with an additive angular margin
    ('aam')."""
    margin: NonNegative = 0.2
    """Margin of am and aam."""
    scale: Positive = 30.0
    """Factor of the cosines in am and aam."""
    margin_warmup_steps: CountOrZero = 0
    """First steps, in which the margin grows from 0. 0 for none."""
    trials: dict[str, str] = field(default_factory=dict)
    """List files of trials by split, relative to the working folder. A split without a list has all its pairs as
    trials."""
    enrolment: dict[str, str] = field(default_factory=dict)
    """List files of the recordings that each model is enrolled with, by split, likewise. Empty for trials of two
    recordings."""
    max_pairs: Count = 200_000
    """Most pairs that are trials of a split without a list."""
    subtract_mean: bool = False
    """Whether the mean embedding of dev is taken out before the cosine."""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """Back end, normalisation and quality measures of an evaluation. While training, dev is scored by the cosine."""
    speakers: list[str] = field(default_factory=list)
    """The training speakers, in the order of the classes. It is filled in from the training data."""
