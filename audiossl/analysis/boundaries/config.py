"""Settings of boundaries without training. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Positive, check_ranges

METHODS = ("min_cut", "greedy", "peaks", "uniform")


@dataclass(frozen=True)
class BoundaryOptions:
    """How boundaries are found and scored. Each is an option of `audiossl segment fit`."""

    alignment: str = ""
    """Where the true segments are: a CTM file, a TextGrid or a folder of them, an annotation table, the name of a tier
    or of frame labels in the manifests. Empty for the rows' own supervisions."""
    tier: str = "label"
    """The tier of TextGrids. Of supervisions the column with the label."""
    ignore: str = "sil,sp,spn,SIL"
    """Labels that are no segments, with commas. Where a pause begins or ends is a boundary all the same."""
    methods: str = "min_cut,greedy,peaks,uniform"
    """Of min_cut, greedy, peaks and uniform, with commas."""
    layers: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1."""
    tolerance_s: Positive = 0.05
    """Seconds by which a found boundary may miss the true one: 0.05 is usual for words, 0.02 for phones."""
    group: str = "speaker"
    """What intervals are over: speaker, recording, or another column."""
    random: bool = True
    """Also the same encoders with random weights."""

    def __post_init__(self) -> None:
        check_ranges(self)
        unknown = [name for name in self.asked if name not in METHODS]
        if unknown or not self.asked:
            raise ConfigError(f"--methods {self.methods!r}: choose of {', '.join(METHODS)}, with commas.")

    @property
    def asked(self) -> list[str]:
        """The names in `methods`."""
        return comma_list(self.methods)
