"""Settings of speaker verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, ShareBelowOne
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig

XVECTOR_TDNN = [[512, 5, 1], [512, 3, 2], [512, 3, 3], [512, 1, 1], [1500, 1, 1]]


@dataclass(frozen=True)
class MfaConfig:
    """The Conformer blocks of MFA-Conformer. The defaults are the published sizes."""

    width: Count = 256
    """Width of the blocks, even, and a multiple of `heads`."""
    blocks: Count = 6
    """How many blocks there are, whose outputs are all read."""
    heads: Count = 4
    """Heads of attention."""
    feed_forward: Count = 2048
    """Width inside of the feed-forward layers."""
    kernel_size: Count = 15
    """Frames that a convolution reads, an odd number."""


@dataclass(frozen=True)
class RawNet3Config:
    """The Res2Net blocks of RawNet3. The defaults are the published sizes."""

    channels: Count = 1024
    """Channels of the blocks, a multiple of 8."""
    frame_width: Count = 1536
    """Width of the frames that are pooled."""


@dataclass(frozen=True)
class SkaTdnnConfig:
    """The layers of SKA-TDNN. The defaults are the published sizes."""

    bands: Count = 80
    """Width of the linear layer that stands for the mel filters, a multiple of 4."""
    front_channels: Count = 128
    """Channels of the two-dimensional front end."""
    channels: Count = 1024
    """Channels of the blocks over time, a multiple of 8."""
    frame_width: Count = 1536
    """Width of the frames that are pooled."""


@dataclass(frozen=True)
class MhfaConfig:
    """The factorised attention of MHFA. The defaults are the published sizes."""

    heads: Count = 64
    """Heads of attention."""
    width: Count = 128
    """Width to which keys and values are brought."""


@dataclass(frozen=True)
class SpeakerVerificationConfig:
    """The head, the loss and the trials. The defaults are the sound setting, `superb.yaml` has the published one."""

    head: Literal["pooled", "xvector", "ecapa", "mfa", "rawnet3", "ska_tdnn", "mhfa"] = "xvector"
    """What makes an embedding: 'pooled' (projection, pooling, embedding), 'xvector' (with time-delay layers before the
    pooling), 'ecapa', 'mfa' (MFA-Conformer), 'rawnet3', 'ska_tdnn', or 'mhfa', which needs interface=parallel_sums."""
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
    mfa: MfaConfig = field(default_factory=MfaConfig)
    """Sizes of mfa."""
    rawnet3: RawNet3Config = field(default_factory=RawNet3Config)
    """Sizes of rawnet3."""
    ska_tdnn: SkaTdnnConfig = field(default_factory=SkaTdnnConfig)
    """Sizes of ska_tdnn."""
    mhfa: MhfaConfig = field(default_factory=MhfaConfig)
    """Sizes of mhfa."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector, in ecapa of whole channels after its layers, in mfa within its blocks as well."""
    loss: Literal["softmax", "am", "aam", "sub_center_aam"] = "aam"
    """Softmax over the training speakers: as it is, with an additive margin ('am'), with an additive angular margin
    ('aam'), or with that, sub-centres and the inter-top-k penalty ('sub_center_aam')."""
    sub_centers: Count = 3
    """Directions that a speaker has in sub_center_aam, of which the nearest counts."""
    top_k: CountOrZero = 5
    """How many of the nearest wrong speakers sub_center_aam brings nearer. 0 for none."""
    top_k_margin: NonNegative = 0.06
    """By what angle it does."""
    margin: NonNegative = 0.2
    """Margin of am, aam and sub_center_aam."""
    scale: Positive = 30.0
    """Factor of the cosines in am, aam and sub_center_aam."""
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
    speeds_as_speakers: bool = False
    """Whether a speaker at another of the speeds of `data.speeds` is a class of its own in training."""
    speeds: list[Positive] = field(default_factory=list)
    """Speeds that are classes of their own, filled in from `data.speeds` where they are to be."""
    speakers: list[str] = field(default_factory=list)
    """The training speakers, in the order of the classes. It is filled in from the training data."""
