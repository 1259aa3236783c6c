"""Segments: labelled stretches of recordings, such as phones, syllables, words or calls, from any alignment.

Every source that `LabelSource` knows will do: a CTM file, TextGrids, an annotation table, a tier of lhotse's
alignments, frame labels (runs of equal ones), and the manifest's own supervisions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import LabelError, did_you_mean
from audiossl.data.label_source import LATE_S, LabelSource, columns_of

if TYPE_CHECKING:
    from lhotse.cut import Cut

    from audiossl.data.ctm import CtmAlignment

_log = logging.getLogger(__name__)
_ROUNDING_S = 1e-3  # what CTM files and lhotse round times to
_OWN = ("recording", "label", "speaker")


class Segment(NamedTuple):
    """A labelled stretch of a row.

    recording: the id of the row.
    start_s, end_s: seconds from the start of the row's sound.
    label: what is heard.
    speaker: who speaks, None where nobody says.
    fields: all other columns of the row or of the alignment, as text.
    """

    recording: str
    start_s: float
    end_s: float
    label: str
    speaker: str | None = None
    fields: Mapping[str, str] = {}

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def column(self, name: str) -> str | None:
        """What a column says: `recording`, `label`, `speaker`, or another of `fields`. None where it says nothing."""
        return getattr(self, name) if name in _OWN else self.fields.get(name)


def read_segments(
    cuts: Iterable[Cut],
    alignment: str = "",
    *,
    field: str = "label",
    ignored: Sequence[str] = (),
    partial: bool = False,
    where: str = "the manifest",
) -> list[Segment]:
    """The segments of all rows, row by row and in the order of time.

        segments = read_segments(read_manifest("dev.jsonl.gz"), "phones.ctm", ignored=["sil", "spn"])

    A segment has the columns of the supervision that it lies in, speaker included, and those of its alignment. One that
    lies wholly outside its row belongs to another part of the recording. One that is cut by the edge of such a part is
    left out, which one line of the log says. Those that end at most 0.1 s after their recording end with it.

    cuts: the rows.
    alignment: a CTM file, a TextGrid or a folder of them, an annotation table (.csv, .txt, .rttm), the name of a tier
    of alignments or of frame labels in the manifest, or '' for the rows' own supervisions.
    field: for supervisions the column with the label, for TextGrids the tier.
    ignored: labels that do not count, such as those of silence.
    partial: whether rows without an alignment are left out, which one line of the log says. Else they are an error.
    where: what errors call the rows.
    Raises LabelError for an alignment of none of the rows, for a row without one, for segments that lie outside their
    recording or last no time, and where nothing is left.
    """
    source, rows = LabelSource(alignment, field), list(cuts)
    lacking = [cut for cut in rows if not source.has(cut)]
    if lacking and (not partial or len(lacking) == len(rows)):
        raise _lacking(lacking, len(rows), source, where)
    without = {cut.id for cut in lacking}
    found: list[Segment] = []
    parted = 0
    for cut in rows:
        if cut.id in without:
            continue
        own, num_parted = _segments_of(cut, source, where)
        found += [each for each in own if each.label not in ignored]
        parted += num_parted
    if lacking:
        _log.warning(
            "%d of the %d rows of %s have no alignment and are left out, %s the first.",
            len(lacking), len(rows), where, lacking[0].id,
        )  # fmt: skip
    if parted:
        _log.warning("%d segment(s) of %s are cut by the edge of their row and are left out.", parted, where)
    if not found:
        raise LabelError(
            f"{where} has no segment{' but ignored ones' if ignored else ''}; check {alignment or field!r}."
        )
    return found


def column_of(segments: Sequence[Segment], name: str, purpose: str) -> list[str]:
    """What a column says of each segment.

    name: as `Segment.column` takes it.
    purpose: what it is for, for messages, such as 'intervals'.
    Raises LabelError for a segment of which it says nothing.
    """
    said = [each.column(name) for each in segments]
    if None in said:
        lacking = segments[said.index(None)]
        known = sorted({*_OWN, *(key for each in segments for key in each.fields)})
        raise LabelError(
            f"The segment {lacking.label!r} at {lacking.start_s:g} s of {lacking.recording} has no {name!r}, which is "
            f"needed for {purpose}. {did_you_mean(name, known)}"
        )
    return [each for each in said if each is not None]


def _segments_of(cut: Cut, source: LabelSource, where: str) -> tuple[list[Segment], int]:
    """The segments that lie within a row, and how many its edges cut."""
    stretches = source.stretches(cut, where)
    if stretches is None:
        return [], 0
    lasts_s, found, num_parted = float(cut.duration), [], 0
    is_last = cut.start + lasts_s >= float(cut.recording.duration) - _ROUNDING_S
    for place, (start_s, end_s) in enumerate(zip(stretches.starts_s.tolist(), stretches.ends_s.tolist(), strict=True)):
        _check(cut, stretches, place, is_last=is_last)
        if end_s <= _ROUNDING_S or start_s >= lasts_s - _ROUNDING_S:
            continue
        if start_s < -_ROUNDING_S or (end_s > lasts_s + _ROUNDING_S and not is_last):
            num_parted += 1
            continue
        found.append(_made(cut, stretches, place, max(start_s, 0.0), min(end_s, lasts_s)))
    return found, num_parted


def _check(cut: Cut, stretches: CtmAlignment, place: int, *, is_last: bool) -> None:
    """Raise LabelError for a segment that is none, or outside the recording.

    cut: the row.
    stretches: its alignment.
    place: which of them.
    is_last: whether the recording ends with the row.
    """
    start_s, end_s, label = stretches.starts_s[place], stretches.ends_s[place], stretches.labels[place]
    what = f"The segment {label!r} at {start_s:g} s of row {cut.id}"
    if not end_s > start_s:
        raise LabelError(f"{what} lasts no time; align it again, or leave it out.")
    if (cut.start == 0 and start_s < -LATE_S) or (is_last and end_s > cut.duration + LATE_S):
        raise LabelError(
            f"{what} ends at {end_s:g} s, outside its recording, which lasts {cut.duration:g} s here: the alignment is "
            f"of another recording or another rate; align this one."
        )


def _made(cut: Cut, stretches: CtmAlignment, place: int, start_s: float, end_s: float) -> Segment:
    """A segment with all its columns.

    cut: the row.
    stretches: its alignment.
    place: which of them.
    start_s, end_s: in the row.
    """
    around = dict(columns_of(_covering(cut, (start_s + end_s) / 2))) if cut.supervisions else {}
    own = stretches.fields[place] if stretches.fields else {}
    fields = {name: text for name, text in {**around, **own}.items() if name not in ("recording", "label")}
    speaker = fields.pop("speaker", None)
    return Segment(str(cut.id), start_s, end_s, stretches.labels[place], speaker, fields)


def _covering(cut: Cut, moment_s: float) -> object:
    """The supervision of a moment of a row, the first where none has it."""
    return next((said for said in cut.supervisions if said.start <= moment_s < said.end), cut.supervisions[0])


def _lacking(cuts: Sequence[Cut], num_rows: int, source: LabelSource, where: str) -> LabelError:
    said = repr(source.alignment) if source.alignment else f"the field {source.field!r}"
    if len(cuts) == num_rows:
        known = f" (but for instance {source.example})" if source.example else ""
        return LabelError(
            f"{said} has none of the {num_rows} rows of {where}, {cuts[0].id} for instance{known}; give the alignment "
            f"of these recordings."
        )
    return LabelError(
        f"{said} lacks {len(cuts)} of the {num_rows} rows of {where}, {cuts[0].id} for instance; align them too, or "
        f"leave them out (partial)."
    )


def by_recording(segments: Iterable[Segment]) -> Iterator[tuple[str, list[Segment]]]:
    """The segments of each recording together, in the order in which recordings first come."""
    grouped: dict[str, list[Segment]] = {}
    for each in segments:
        grouped.setdefault(each.recording, []).append(each)
    yield from grouped.items()
