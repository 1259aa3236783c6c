"""Settings of probes. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, NonNegative, Seed, check_ranges


@dataclass(frozen=True)
class ProbeOptions:
    """What is asked of which layers. Each is an option of `audiossl probe`."""

    field: str = "label"
    """The column with the classes."""
    probes: str = "linear,knn,svm,mlp"
    """Of linear, knn, svm, mlp, prototype, forest and adaboost, with commas."""
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
    """Seed of the classifiers that draw anything, and of the examples of --shots."""
    shots: str = ""
    """Also probe from so many training items of each class, for instance 1,5,10. Empty for no such probes."""
    draws: Count = 10
    """How often the examples of --shots are drawn."""
    background_s: NonNegative = 0.0
    """Also probe pieces of so many seconds between the calls: what is told from them is told from the recordings. 0 for
    no such probe."""
    calls: str = ""
    """For --background-s, an annotation table of more calls, whose recordings lie below its folder."""
    detection: bool = False
    """Also detect each class against the rest (auroc, eer), and say how far classes lie apart in each layer."""

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

        if self.calls and not self.background_s:
            raise ConfigError(f"--calls {self.calls} says what is no background; give --background-s too.")
        if self.background_s and self.pooling == "factors":
            raise ConfigError("--background-s is for means and deviations, not for --pooling factors.")
        _ = self.num_shots

    @property
    def num_shots(self) -> list[int]:
        """The numbers in `shots`. Raises ConfigError for what is none."""
        parts = [part.strip() for part in self.shots.split(",")] if self.shots else []
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise ConfigError(f"--shots {self.shots!r}: write whole numbers from 1 with commas, for instance 1,5,10.")
        return sorted({int(part) for part in parts})

    @property
    def losses(self) -> list[str]:
        """The names in `gradients`."""
        return comma_list(self.gradients)
