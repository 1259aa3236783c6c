"""What must be known of an exported encoder. A file may say it, and a user may."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from audiossl.core.ranges import Positive, Range

# A file may claim anything, and what it claims is reserved.
MOST_SAMPLES = 100_000_000
_Samples = Annotated[int, Range(1, MOST_SAMPLES)]


@dataclass(frozen=True)
class ExportedConfig:
    """How an exported encoder is fed, and what of it is a layer. What its file says of itself is filled in."""

    sample_rate_hz: Annotated[int, Range(1, 1_000_000)] | None = None
    """Rate of the sound that it takes. Null for what its metadata say."""
    outputs: list[str] = field(default_factory=list)
    """Names of the outputs that are layers, the first one first. Empty for those of its metadata, or its only one."""
    window_s: Positive | None = None
    """Seconds of sound that it takes, no more and no less. Null for what its input says, which may be any length."""
    hop_s: Positive | None = None
    """Seconds from the start of a window to that of the next. Null for those of a window."""
    stride: _Samples | None = None
    """Samples from one frame to the next, where it takes any length."""
    receptive_field: _Samples | None = None
    """Samples that a frame of its front end sees, where it takes any length."""
    margin: Annotated[int, Range(0, MOST_SAMPLES)] = 0
    """Samples that its front end adds to a recording, at both ends together."""
    min_samples: _Samples | None = None
    """Fewest samples that it takes. Null for those of one frame."""
    max_samples: _Samples | None = None
    """Most samples that it takes at once. Null for no limit."""
    normalize: Literal["none", "layer_norm", "huggingface"] = "none"
    """Whether a recording is brought to zero mean and unit variance first, where its graph does not do so."""
