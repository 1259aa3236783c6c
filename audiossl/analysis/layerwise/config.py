"""Settings of layer-wise analysis. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Range, Seed, check_ranges

SCORES = ("logme", "ped", "tmi")


@dataclass(frozen=True)
class AnalyseOptions:
    """How layers are compared. Each is an option of `audiossl analyse`."""

    layers: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1."""
    group: str = "speaker"
    """What intervals are over and what is held out in cross-validation: speaker, recording, or another column."""
    folds: Annotated[int, Range(least=3)] = 5
    """Parts of the cross-validation: one tests, the next chooses the ridge, the others fit."""
    ridges: str = "1e-8,1e-6,1e-4,1e-2,1"
    """Ridges to choose from, as shares of the largest entry of a covariance, with commas."""
    pool: Literal["mean", "centre"] = "mean"
    """What a segment is: the mean of its frames, or the frame in its middle."""
    partial: bool = False
    """Whether rows that an alignment lacks have no segments. Else they are an error."""
    ignore: str = "SIL,sil,sp,spn"
    """Labels of segments that do not count, with commas."""
    most_classes: Count = 500
    """The most frequent labels of segments, so many, are compared."""
    least_items: Annotated[int, Range(least=2)] = 5
    """Labels of segments with fewer are left out."""
    most_items: Count = 20000
    """Most segments of a kind, of more so many are drawn."""
    clusters: CountOrZero = 50
    """Units of k-means whose mutual information with labels is measured. 0 for none."""
    seeds: Count = 3
    """How often k-means begins anew."""
    scores: str = "logme,ped,tmi"
    """Scores of how well a layer suits labels, with commas: logme, ped (logme after classes have pushed each other
    away), tmi (how spread classes are). Of numbers logme alone. Empty for none."""
    moments: CountOrZero = 800
    """Moments of all recordings together at which every layer is compared with every other. 0 for none."""
    random: bool = True
    """Also the same encoder with random weights, and of a fine-tuned one what it was before."""
    seed: Seed = 0
    """Seed of what is drawn."""

    def __post_init__(self) -> None:
        check_ranges(self)
        _ = self.all_ridges
        if unknown := [name for name in self.all_scores if name not in SCORES]:
            raise ConfigError(f"--scores {unknown[0]!r}: choose of {', '.join(SCORES)}, with commas, or of none.")

    @property
    def all_ridges(self) -> list[float]:
        """The numbers in `ridges`. Raises ConfigError for what is none."""
        try:
            found = [float(part) for part in self.ridges.split(",")]
        except ValueError:
            found = []
        if not found or not all(0 < ridge < float("inf") for ridge in found):
            raise ConfigError(f"--ridges {self.ridges!r}: write numbers above 0 with commas, for instance 1e-6,1e-3,1.")
        return found

    @property
    def all_scores(self) -> list[str]:
        """The names in `scores`."""
        return comma_list(self.scores)

    @property
    def ignored(self) -> list[str]:
        """The labels in `ignore`."""
        return comma_list(self.ignore)
