"""Settings of scores that need no training. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, NonNegative, Seed, check_ranges

SCORES = ("ap", "abx")
DISTANCES = ("mean", "dtw")


@dataclass(frozen=True)
class DiscriminationOptions:
    """Which segments are compared, and how. Each is an option of `audiossl discriminate`."""

    alignment: str = ""
    """Where segments are: a CTM file, a TextGrid or a folder of them, an annotation table, the name of a tier or of
    frame labels in the manifest. Empty for the rows' own supervisions."""
    tier: str = "label"
    """The tier of TextGrids. Of supervisions the column with the label."""
    layers: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1."""
    scores: str = "ap,abx"
    """Of ap (same or different, over all pairs and across speakers) and abx (within and across speakers), with
    commas."""
    distances: str = "mean,dtw"
    """Of mean (cosine between the means of frames) and dtw (mean cosine along the best path of frames), with commas."""
    context: Literal["none", "neighbours"] = "none"
    """What A, B and X of ABX have in common: nothing, or the labels before and after them, as for phones."""
    ratings: str = ""
    """A table of pairs of words with how alike people find them: three columns, two words and a number. Empty for
    none."""
    standardize: bool = False
    """Whether each dimension is first brought to mean 0 and variance 1 over the frames of all segments. Published
    figures have states as they are."""
    group: str = "speaker"
    """What intervals are over: speaker, or another column of which no speaker has two values."""
    ignore: str = "sil,sp,spn"
    """Labels of segments that do not count, with commas."""
    shortest_s: NonNegative = 0.0
    """Shorter segments are left out. Published same-different tasks take words of at least 0.5 s."""
    least_items: Count = 2
    """Labels of fewer segments are left out."""
    most_items: Count = 1000
    """Most segments, of more so many are drawn. Pairs grow with the square."""
    most_per_cell: Count = 10
    """Most segments of a label, context and speaker in ABX, of more so many are drawn."""
    random: bool = True
    """Also the same encoder with random weights."""
    seed: Seed = 0
    """Seed of what is drawn."""

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, known in (("scores", SCORES), ("distances", DISTANCES)):
            asked = comma_list(getattr(self, name))
            unknown = [each for each in asked if each not in known]
            if unknown or not asked:
                raise ConfigError(f"--{name} {getattr(self, name)!r}: choose of {' and '.join(known)}, with commas.")
