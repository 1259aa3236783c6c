"""Settings of what is done with an encoder. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, NonNegative, check_ranges


@dataclass(frozen=True)
class EmbedOptions:
    """How hidden states of recordings are computed and written. Each is an option of `audiossl embed`."""

    layer: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1."""
    pool: str = "none"
    """none (every frame) or mean (one vector a recording)."""
    window_s: NonNegative = 0.0
    """Seconds in a row, the mean over its frames (0: as --pool says)."""
    hop_s: NonNegative = 0.0
    """Seconds from the start of a window to that of the next (0: as long as a window)."""
    batch_size: Count = 8
    """Most recordings in a batch, on which results do not depend."""
    chunk_s: NonNegative = 0.0
    """Seconds in a chunk, for long recordings (0: whole)."""
    overlap_s: NonNegative = 5.0
    """Seconds that neighbouring chunks share."""
    precision: str = "fp32"
    """fp32 or bf16."""
    engine: str = "eager"
    """eager, compile, onnx or openvino."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.pool not in ("none", "mean"):
            raise ConfigError(f"--pool {self.pool!r}: choose none or mean.")
        if self.hop_s and not self.window_s:
            raise ConfigError(f"--hop-s {self.hop_s:g} needs windows; give their seconds with --window-s.")
