"""Settings of factors. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from audiossl.core.ranges import Count, Range, Seed, check_ranges


@dataclass(frozen=True)
class FactorsOptions:
    """How factors are fitted. Each is an option of `audiossl factors fit`."""

    layer: str = ""
    """The hidden state: last, or a number, where -1 is the last too. Empty for that of the units, else the last."""
    units: str = ""
    """Folder of `audiossl units fit`, to whose centres frames are aligned. Empty for new ones, of the same rows."""
    clusters: Count = 100
    """Number of those new ones."""
    rank: Count = 64
    """Number of factors."""
    iterations: Count = 10
    """Iterations of expectation maximisation."""
    minimum_divergence: bool = True
    """Whether each iteration also brings the factors to mean 0 and covariance 1, which takes fewer of them."""
    floor: Annotated[float, Range(above=0, most=1)] = 0.1
    """Least variance in a cluster, as a share of that in all."""
    seed: Seed = 0
    """Seed of the first loadings, and of k-means."""

    def __post_init__(self) -> None:
        check_ranges(self)
