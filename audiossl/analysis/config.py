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
    """What is read of a layer: statistics (its mean and deviation over time), mean, or the factors of --factors."""
    factors: str = ""
    """Folder of `audiossl factors fit`, for --pooling factors. Its layer is the one that is probed."""
    gradients: str = ""
    """Of kl and simclr, with commas: self-supervised losses whose gradients are joined to the vectors, for a column
    more of each probe. Empty for none."""
    metric: str = "uar"
    """uar, accuracy or f1."""
    group: str = "recording"
    """What intervals are over: recording, speaker, ..."""
    seed: Seed = 0
    """Seed of the MLP."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.pooling not in ("statistics", "mean", "factors"):
            raise ConfigError(f"--pooling {self.pooling!r}: choose statistics, mean or factors.")
        if (self.pooling == "factors") != bool(self.factors):
            raise ConfigError("--pooling factors and --factors FOLDER go together; give both or neither.")
        unknown = [name for name in self.losses if name not in ("kl", "simclr")]
        if unknown:
            raise ConfigError(f"--gradients {unknown[0]!r}: choose of kl and simclr, with commas.")
        if self.losses and self.pooling == "factors":
            raise ConfigError("--gradients are those of the mean over time, not of factors; leave one of them out.")

    @property
    def losses(self) -> list[str]:
        """The names in `gradients`."""
        return self.gradients.split(",") if self.gradients else []
