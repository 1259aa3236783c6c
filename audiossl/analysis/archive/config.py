"""Settings of an index and of clusters. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, check_ranges
from audiossl.data.config import ArchiveOptions


@dataclass(frozen=True)
class IndexOptions(ArchiveOptions):
    """What is kept of an archive. Each is an option of `audiossl index`."""

    layer: str = "last"
    """last, or the number of a layer such as 4 or -1."""
    pool: str = "mean"
    """What is kept of a window: mean over time, or statistics (mean and deviation)."""
    field: str = "label"
    """The column of a manifest that results show beside a window."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool not in ("mean", "statistics"):
            raise ConfigError(f"--pool {self.pool!r}: choose mean or statistics.")


@dataclass(frozen=True)
class ClusterOptions:
    """How windows become clusters. Each is an option of `audiossl cluster`."""

    method: str = "density"
    """density (HDBSCAN, which leaves windows alone that are like few others) or agglomerative (Ward's)."""
    num_clusters: CountOrZero = 0
    """How many, of agglomerative alone (0: 10)."""
    smallest: Count = 5
    """Fewest windows of a dense cluster."""
    dimensions: Count = 20
    """Principal components in which distances are taken."""
    examples: Count = 6
    """Windows of each cluster that the page plays, from its middle outwards."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.method not in ("density", "agglomerative"):
            raise ConfigError(f"--method {self.method!r}: choose density or agglomerative.")
        if self.num_clusters and self.method == "density":
            raise ConfigError("--num-clusters is for --method agglomerative; density finds how many there are.")
        if self.smallest < 2:
            raise ConfigError(f"--smallest {self.smallest}: a cluster has at least 2 windows.")
