"""What is heard when in a row, from one of four places.

* A file or a folder of alignments: CTM, TextGrids or an annotation table. Its times are those of the sound file.
* A tier of alignments of a row's supervisions, as lhotse keeps them on the clock of the recording.
* An array of frame labels in the manifest.
* The row's own supervisions, each with a start and a duration, and the label of a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import LabelError
from audiossl.data.alignment_files import AlignmentFile, is_alignment_file, open_alignments
from audiossl.data.ctm import CtmAlignment
from audiossl.data.fields import SUPERVISION_FIELDS, as_text
from audiossl.data.frame_labels import read_frame_labels, span_in_file

if TYPE_CHECKING:
    from lhotse.cut import Cut

Times = NDArray[np.float64]

LATE_S = 0.1  # by which an alignment may end after its row, as aligners count in frames


class _Found(NamedTuple):
    """An alignment, and where in it a row lies: t seconds after the row's start is begin_s + rate t of it."""

    alignment: CtmAlignment
    begin_s: float = 0.0
    rate: float = 1.0


class LabelSource:
    """Where the labels of rows are.

    alignment: the name of a file or folder of alignments, of a tier or of frame labels in the manifest, or '' for
    supervisions.
    field: the column of a supervision that is its label, where they are from there. Of TextGrids it is the tier.
    """

    def __init__(self, alignment: str, field: str) -> None:
        self.alignment, self.field = alignment, field
        self._file: AlignmentFile | None = None

    def labels_at(self, cut: Cut, times_s: Times, where: str = "a manifest") -> list[str | None]:
        """The label of each moment of a row, None where there is none.

        cut: the row, or what a crop or another speed has left of it.
        times_s: (N,) seconds after its start.
        where: what an error calls the rows.
        Raises LabelError for a row that a file does not have.
        """
        if self.alignment in (cut.custom or {}):
            return [str(label) for label in read_frame_labels(cut, self.alignment).at(times_s).tolist()]
        found = self._found(cut, where)
        if found is None:
            return [None] * len(times_s)
        return found.alignment.at(found.begin_s + times_s * found.rate)

    def stretches(self, cut: Cut, where: str = "a manifest") -> CtmAlignment | None:
        """All labelled stretches, in seconds after the start of the row, outside of which they may lie.

        cut: the row, or what a crop or another speed has left of it.
        where: what an error calls the rows.
        Returns None for a row without any, as a crop of a pause.
        Raises LabelError for a row that a file does not have.
        """
        if self.alignment in (cut.custom or {}):
            return _runs(cut, self.alignment)
        found = self._found(cut, where)
        if found is None:
            return None
        both = (found.alignment.starts_s, found.alignment.ends_s)
        starts_s, ends_s = ((times - found.begin_s) / found.rate for times in both)
        return replace(found.alignment, starts_s=starts_s, ends_s=ends_s)

    def has(self, cut: Cut) -> bool:
        """Whether anybody has aligned a row: one that is only predicted needs no alignment."""
        if self.alignment in (cut.custom or {}):
            return True
        if self._is_file(cut):
            return self._opened.of(cut) is not None
        return self._of_row(cut) is not None

    def check(self, cut: Cut, where: str) -> None:
        """Raises LabelError for a row of a manifest that has no labels, or whose labels cannot be of its sound."""
        if self.alignment in (cut.custom or {}):
            read_frame_labels(cut, self.alignment)
            return
        if not self._is_file(cut):
            ends_s = cut.start + cut.duration if self.alignment else cut.duration
            self._check_end(cut, self._named_in(cut, where), ends_s, where)
            return
        found = self._of_file(cut, where)
        if cut.start > 0 and not self._opened.names_recording(cut):
            raise LabelError(
                f"{self.alignment} names row {cut.id} of {where}, which begins {cut.start:g} s after its recording "
                f"does; name it by the recording, {cut.recording.id}, with times in that."
            )
        self._check_end(cut, found, cut.recording.duration, where)

    @property
    def example(self) -> str:
        """A name that a file of alignments has. '' where it is no file."""
        return self._opened.example if is_alignment_file(self.alignment) else ""

    @property
    def _opened(self) -> AlignmentFile:
        if self._file is None:
            self._file = open_alignments(self.alignment, self.field)
        return self._file

    def _is_file(self, cut: Cut) -> bool:
        """A tier of the manifest goes before a folder of the same name."""
        return is_alignment_file(self.alignment) and not _items(cut, self.alignment)

    def _found(self, cut: Cut, where: str) -> _Found | None:
        if not self._is_file(cut):
            stretches = self._of_row(cut)
            # lhotse keeps alignments on the clock of the recording, wherever in it a row begins.
            return None if stretches is None else _Found(stretches, cut.start if self.alignment else 0.0)
        begin_s, lasting_s = span_in_file(cut)
        return _Found(self._of_file(cut, where), begin_s, lasting_s / cut.duration)

    def _of_file(self, cut: Cut, where: str) -> CtmAlignment:
        found = self._opened.of(cut)
        if found is None:
            raise LabelError(
                f"{self.alignment} has no line of row {cut.id} of {where}; align it too, or leave the row out."
            )
        return found

    def _named_in(self, cut: Cut, where: str) -> CtmAlignment:
        found = self._of_row(cut)
        if found is None:
            what = f"nothing in the tier {self.alignment!r}" if self.alignment else f"no label in {self.field!r}"
            raise LabelError(
                f"Row {cut.id} of {where} has {what}; name a file of alignments or a tier (alignment), or leave it out."
            )
        return found

    def _of_row(self, cut: Cut) -> CtmAlignment | None:
        """The stretches of a row's supervisions. None for none, as in a crop of a pause."""
        if self.alignment:
            found = [(item.start, item.end, item.symbol, said) for item, said in _items(cut, self.alignment)]
        else:
            named = [(said, _field_of(said, self.field)) for said in cut.supervisions]
            found = [(said.start, said.end, label, said) for said, label in named if label is not None]
        if not found:
            return None
        starts, ends, labels, said = zip(*sorted(found, key=lambda each: each[:3]), strict=True)
        return CtmAlignment(np.array(starts), np.array(ends), labels, tuple(map(columns_of, said)))

    def _check_end(self, cut: Cut, labels: CtmAlignment, lasts_s: float, where: str) -> None:
        end_s = float(labels.ends_s.max())
        if end_s > lasts_s + LATE_S:
            raise LabelError(
                f"The labels of row {cut.id} of {where} go on until {end_s:g} s, and its sound ends at {lasts_s:g} s; "
                f"align it again."
            )


def columns_of(supervision: Any) -> Mapping[str, str]:
    """All columns of a supervision that say something, as text."""
    said = {name: getattr(supervision, name) for name in SUPERVISION_FIELDS} | (supervision.custom or {})
    texts = {name: as_text(value) for name, value in said.items()}
    return {name: text for name, text in texts.items() if text}


def _items(cut: Cut, tier: str) -> list[tuple[Any, Any]]:
    """The items of a tier of alignments, each with its supervision."""
    return [(item, said) for said in cut.supervisions for item in (said.alignment or {}).get(tier, [])]


def _runs(cut: Cut, name: str) -> CtmAlignment:
    """Frame labels as stretches: runs of equal ones. Raises LabelError for labels of several speakers."""
    labels = read_frame_labels(cut, name)
    if labels.values.ndim != 1:
        raise LabelError(
            f"The frame labels {name!r} of row {cut.id} say who speaks, {labels.values.shape[1]} at once; segments "
            f"need one class a frame."
        )
    firsts = np.flatnonzero(np.diff(labels.values, prepend=labels.values[0] - 1))
    lasts = np.append(firsts[1:], len(labels.values))
    starts_s, ends_s = ((places - labels.lead) / (labels.rate_hz * labels.speed) for places in (firsts, lasts))
    names = tuple(str(label) for label in labels.values[firsts].tolist())
    # The first and the last frame may begin before the row and end after it.
    return CtmAlignment(starts_s.clip(0, cut.duration), ends_s.clip(0, cut.duration), names)


def _field_of(supervision: Any, name: str) -> str | None:
    value = getattr(supervision, name) if name in SUPERVISION_FIELDS else (supervision.custom or {}).get(name)
    return None if value is None or value == "" else str(value)
