"""Segments of recordings as files: a TextGrid or a CTM each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.files import atomic_write
from audiossl.core.outputs import check_new, check_out
from audiossl.core.untrusted import FileNames
from audiossl.data.segments import Segment
from audiossl.data.textgrid import SUFFIX, Interval, write_textgrid

if TYPE_CHECKING:
    from lhotse.cut import Cut

TIER = "segments"


def write_segments(
    found: Iterable[tuple[Cut, list[Segment]]], out: Path, form: str, inputs: Sequence[str], *, overwrite: bool = False
) -> dict[str, int]:
    """Write one file a recording. Returns the number of segments by path.

    found: rows with their segments, in any order.
    out: the folder.
    form: 'textgrid' or 'ctm'.
    inputs: what must not be written over.
    overwrite: whether files that are there are replaced.
    Raises OutputError for a file that is there.
    """
    check_out(out, "folder", inputs)
    names = FileNames(SUFFIX if form == "textgrid" else ".ctm")
    told = {}
    for cut, segments in found:
        path = out / names.of(str(cut.id))
        check_new(path, inputs, overwrite=overwrite)
        if form == "textgrid":
            intervals = [Interval(each.start_s, each.end_s, each.label) for each in segments]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_textgrid(path, {TIER: intervals}, float(cut.duration))
        else:
            with atomic_write(path) as temporary:
                temporary.write_text("".join(map(_ctm_line, segments)), encoding="utf-8")
        told[str(path)] = len(segments)
    return told


def _ctm_line(segment: Segment) -> str:
    name = segment.recording.replace(" ", "_")
    return f"{name} 1 {segment.start_s:.3f} {segment.duration_s:.3f} {segment.label}\n"
