"""Settings of probes on segments. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, Range, Seed, check_ranges

CONTROLS = ("random_labels", "flat_f0")


@dataclass(frozen=True)
class SegmentProbeOptions:
    """What is asked of which layers. Each is an option of `audiossl probe-segments`."""

    alignment: str = ""
    """Where segments are: a CTM file, a TextGrid or a folder of them, an annotation table, the name of a tier or of
    frame labels in the manifest. Empty for the rows' own supervisions."""
    tier: str = "label"
    """The tier of TextGrids. Of supervisions the column with the label."""
    target: str = "label"
    """What is to be told of each segment: label, or any column. f0_hz, where no column has that name, is measured
    (extra f0)."""
    kind: Literal["classes", "numbers"] = "classes"
    """Whether the target is a class or a number."""
    probe: Literal["ridge", "logistic"] = "ridge"
    """Ridge regression, of classes too, or logistic regression, which is for classes alone and takes longer."""
    layers: str = "all"
    """all, last, or numbers and ranges such as 0,6-8 or -1. Layer 0 is always there."""
    pool: Literal["mean", "centre"] = "mean"
    """What is read of a segment: the mean of its frames, or the frame in its middle."""
    disjoint: str = "speaker"
    """Columns of which no value is in both training and test, with commas. speaker,syllable tests unseen syllables of
    unseen speakers."""
    folds: Annotated[int, Range(least=3)] = 5
    """Parts of the cross-validation, in each of those columns: one tests, the next one chooses the penalty and the
    layer, the others fit."""
    group: str = "speaker"
    """What intervals are over: speaker, recording, or another column."""
    by: str = ""
    """Columns by whose values test figures are shown apart, with commas, such as age,site."""
    controls: str = "random_labels"
    """Of random_labels (targets dealt out anew) and flat_f0 (recordings resynthesised with a constant F0, and with
    their own: extra f0), with commas. Empty for none."""
    random: bool = True
    """Also the same encoder with random weights."""
    metric: Literal["uar", "accuracy", "f1", "pearson", "ccc", "spearman"] | None = None
    """What chooses and is drawn. Left out, uar for classes and pearson for numbers."""
    ignore: str = "sil,sp,spn,SIL"
    """Labels of segments that do not count, with commas."""
    least_items: Count = 10
    """Classes with fewer segments are left out."""
    most_items: Count = 20000
    """Most segments, of more so many are drawn."""
    seed: Seed = 0
    """Seed of folds, of drawn segments and of random labels."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.kind == "numbers" and self.probe == "logistic":
            raise ConfigError("--probe logistic tells classes; take --probe ridge for --kind numbers.")
        fitting = ("uar", "accuracy", "f1") if self.kind == "classes" else ("pearson", "ccc", "spearman")
        if self.metric is not None and self.metric not in fitting:
            raise ConfigError(f"--metric {self.metric} is none of {self.kind}; choose {', '.join(fitting)}.")
        unknown = [name for name in comma_list(self.controls) if name not in CONTROLS]
        if unknown:
            raise ConfigError(f"--controls {unknown[0]!r}: choose of {' and '.join(CONTROLS)}, with commas.")
        if not comma_list(self.disjoint):
            raise ConfigError("--disjoint names no column; name what training and test may not share, such as speaker.")

    @property
    def score(self) -> str:
        """The metric that chooses."""
        return self.metric or ("uar" if self.kind == "classes" else "pearson")
