"""Settings of units. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from audiossl.core.ranges import Count, CountOrZero, Positive, Range, Seed, check_ranges


@dataclass(frozen=True)
class UnitsOptions:
    """How units are fitted. Each is an option of `audiossl units fit`."""

    layer: str = "last"
    """The hidden state that is clustered: last, or a number, where -1 is the last too."""
    clusters: CountOrZero = 500
    """Number of clusters. 0 for none: the codes of an encoder that quantises, each combination that occurs."""
    share: Annotated[float, Range(above=0, most=1)] = 1.0
    """Share of the recordings that is encoded, drawn by their ids."""
    max_gb: Positive = 2.0
    """Most gigabytes (1e9 bytes) that the frames may take in memory. Of more frames, so many are drawn at random."""
    starts: Count = 20
    """Sets of first centres that are tried, of which the best is trained."""
    batch_frames: Count = 10000
    """Frames in a batch of k-means."""
    max_epochs: Count = 100
    """Most passes of k-means over the frames."""
    patience: CountOrZero = 100
    """Batches without a gain after which k-means ends. 0 for all passes."""
    seed: Seed = 0
    """Seed of which recordings and frames are drawn, and of k-means."""

    def __post_init__(self) -> None:
        check_ranges(self)
