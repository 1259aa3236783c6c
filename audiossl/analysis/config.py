"""Settings of probes. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Seed, check_ranges


@dataclass(frozen=True)
class ProbeOptions:
    """What is asked of which layers. Each is an option of `audiossl probe`."""

    field: str = "label"
    """The column with the classes."""
    probes: str = "linear,knn,svm,mlp"
    """Of linear, knn, svm and mlp, with commas."""
    layers: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1."""
    pooling: str = "statistics"
    """What is read of a layer: statistics (its mean and deviation over time) or mean."""
    metric: str = "uar"
    """uar, accuracy or f1."""
    group: str = "recording"
    """What intervals are over: recording, speaker, ..."""
    seed: Seed = 0
    """Seed of the MLP."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.pooling not in ("statistics", "mean"):
            raise ConfigError(f"--pooling {self.pooling!r}: choose statistics or mean.")
