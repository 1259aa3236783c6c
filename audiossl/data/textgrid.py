"""Praat's TextGrids, what forced aligners such as the Montreal Forced Aligner write (read by praatio, MIT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import ConfigError, LabelError, did_you_mean, first_line
from audiossl.core.files import atomic_write
from audiossl.data.ctm import CtmAlignment

SUFFIX = ".TextGrid"


class Interval(NamedTuple):
    """A labelled stretch, in seconds."""

    start_s: float
    end_s: float
    label: str


def read_textgrid(path: Path, tier: str = "") -> tuple[CtmAlignment, float]:
    """The intervals of a tier that have a label, and how long the file says that its recording is, in seconds.

    tier: its name. A file of one tier needs none, and has the same whatever is asked for.
    Raises LabelError for a file that is none, that has no such tier or nothing in it, ConfigError without praatio.
    """
    read = _opened(path)
    intervals = {
        name: read.getTier(name) for name in read.tierNames if hasattr(read.getTier(name), "getValuesInIntervals")
    }
    if not intervals:
        raise LabelError(f"{path} has no tier of intervals, which have a start and an end; align it again.")
    chosen = tier if tier in intervals else next(iter(intervals)) if len(intervals) == 1 else ""
    if not chosen:
        raise LabelError(f"{path} has no tier {tier!r}. {did_you_mean(tier, intervals)}".strip())
    found = [(float(each.start), float(each.end), str(each.label)) for each in intervals[chosen].entries]
    named = sorted(each for each in found if each[2].strip())
    if not named:
        raise LabelError(f"The tier {chosen!r} of {path} has no label; align it again, or leave the row out.")
    starts, ends, labels = zip(*named, strict=True)
    return CtmAlignment(np.array(starts), np.array(ends), labels), float(read.maxTimestamp)


def write_textgrid(path: Path, tiers: Mapping[str, Sequence[Interval]], duration_s: float) -> None:
    """Praat's long text format: interval tiers that fill the recording, with empty intervals between.

    path: the file to write.
    tiers: by name, each in the order of time and without overlaps.
    duration_s: of the recording.
    """
    end = f"{duration_s:.6f}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, spans) in enumerate(tiers.items(), start=1):
        intervals = _filled(spans, duration_s)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for place, (start_s, end_s, text) in enumerate(intervals, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {start_s:.6f}"]
            lines += [f"            xmax = {end_s:.6f}", f'            text = "{text.replace(chr(34), chr(34) * 2)}"']
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _filled(spans: Sequence[Interval], duration_s: float) -> list[Interval]:
    """Intervals without gaps from 0 to the end."""
    intervals: list[Interval] = []
    now = 0.0
    for span in spans:
        if span.start_s > now:
            intervals.append(Interval(now, span.start_s, ""))
        intervals.append(span)
        now = span.end_s
    return [*intervals, Interval(now, duration_s, "")] if now < duration_s else intervals


def _opened(path: Path) -> Any:
    try:
        from praatio import textgrid
    except ImportError as error:
        raise ConfigError(
            "TextGrids need the package praatio, which is not installed; run `pip install audiossl-toolkit[textgrid]`."
        ) from error
    if not path.is_file():
        raise LabelError(f"There is no TextGrid {path}; correct its path.")
    try:
        return textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    except Exception as error:  # praatio has errors of its own, and others for what is no TextGrid
        raise LabelError(f"{path} is no TextGrid that can be read ({first_line(error)}); align it again.") from error
