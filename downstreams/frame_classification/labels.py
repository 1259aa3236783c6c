"""The label of each moment of a row, from one of three places.

* A CTM file, as forced aligners write it, by the ids of rows or of their recordings. Its times are those of the file.
* What the manifest has under a name: a tier of alignments of a row's supervisions, or an array of frame labels.
* The row's own supervisions, each with a start and a duration, and the label of a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut
from numpy.typing import NDArray

from audiossl.core.errors import LabelError
from audiossl.data.ctm import CtmAlignment, read_ctm
from audiossl.data.fields import SUPERVISION_FIELDS
from audiossl.data.frame_labels import read_frame_labels, span_in_file

Times = NDArray[np.float64]

CTM_SUFFIX = ".ctm"
_LATE_S = 0.1  # by which an alignment may end after its row, as aligners count in frames


class LabelSource:
    """Where the labels of rows are.

    alignment: the name of a CTM file, the name of a tier or of frame labels in the manifest, or '' for supervisions.
    field: the column of a supervision that is its label, where they are from there.
    """

    def __init__(self, alignment: str, field: str) -> None:
        self.alignment, self.field = alignment, field
        self._file: Mapping[str, CtmAlignment] | None = None

    def labels_at(self, cut: Cut, times_s: Times, where: str = "a manifest") -> list[str | None]:
        """The label of each moment of a row, None where there is none.

        cut: the row, or what a crop or another speed has left of it.
        times_s: (N,) seconds after its start.
        where: what an error calls the rows.
        Raises LabelError for a row that a CTM file does not have.
        """
        custom: dict[str, Any] = cut.custom or {}
        if self.alignment in custom:
            return [str(label) for label in read_frame_labels(cut, self.alignment).at(times_s).tolist()]
        if not self._is_file:
            found = self._of_row(cut)
            if found is None:
                return [None] * len(times_s)
            # lhotse keeps alignments on the clock of the recording, wherever in it a row begins.
            return found.at(times_s + cut.start if self.alignment else times_s)
        begin_s, lasting_s = span_in_file(cut)
        return self._of_file(cut, where).at(begin_s + times_s * (lasting_s / cut.duration))

    def has(self, cut: Cut) -> bool:
        """Whether anybody has aligned a row: one that is only predicted needs no alignment."""
        if self.alignment in (cut.custom or {}):
            return True
        if self._is_file:
            return any(name in self._lines for name in _names_of(cut))
        return self._of_row(cut) is not None

    def check(self, cut: Cut, where: str) -> None:
        """Raises LabelError for a row of a manifest that has no labels, or whose labels cannot be of its sound."""
        if self.alignment in (cut.custom or {}):
            read_frame_labels(cut, self.alignment)
            return
        if not self._is_file:
            ends_s = cut.start + cut.duration if self.alignment else cut.duration
            self._check_end(cut, self._named_in(cut, where), ends_s, where)
            return
        found, recording = self._of_file(cut, where), str(cut.recording.id)
        if cut.start > 0 and recording not in self._lines:
            raise LabelError(
                f"{self.alignment} names row {cut.id} of {where}, which begins {cut.start:g} s after its recording "
                f"does; name it by the recording, {recording}, with times in that."
            )
        self._check_end(cut, found, cut.recording.duration, where)

    @property
    def _is_file(self) -> bool:
        return self.alignment.endswith(CTM_SUFFIX)

    @property
    def _lines(self) -> Mapping[str, CtmAlignment]:
        if self._file is None:
            self._file = read_ctm(Path(self.alignment))
        return self._file

    def _of_file(self, cut: Cut, where: str) -> CtmAlignment:
        for name in _names_of(cut):
            if name in self._lines:
                return self._lines[name]
        raise LabelError(
            f"{self.alignment} has no line of row {cut.id} of {where}; align it too, or leave the row out."
        )

    def _named_in(self, cut: Cut, where: str) -> CtmAlignment:
        found = self._of_row(cut)
        if found is None:
            what = f"nothing in the tier {self.alignment!r}" if self.alignment else f"no label in {self.field!r}"
            raise LabelError(
                f"Row {cut.id} of {where} has {what}; name a CTM file or a tier by task.alignment, or leave it out."
            )
        return found

    def _of_row(self, cut: Cut) -> CtmAlignment | None:
        """The stretches of a row's supervisions. None for none, as in a crop of a pause."""
        if self.alignment:
            items = [item for said in cut.supervisions for item in (said.alignment or {}).get(self.alignment, [])]
            found = [(item.start, item.end, item.symbol) for item in items]
        else:
            named = [(said, _field_of(said, self.field)) for said in cut.supervisions]
            found = [(said.start, said.end, label) for said, label in named if label is not None]
        if not found:
            return None
        starts, ends, labels = zip(*sorted(found), strict=True)
        return CtmAlignment(np.array(starts), np.array(ends), labels)

    def _check_end(self, cut: Cut, labels: CtmAlignment, lasts_s: float, where: str) -> None:
        end_s = float(labels.ends_s.max())
        if end_s > lasts_s + _LATE_S:
            raise LabelError(
                f"The labels of row {cut.id} of {where} go on until {end_s:g} s, and its sound ends at {lasts_s:g} s; "
                f"align it again."
            )


def _names_of(cut: Cut) -> tuple[str, ...]:
    """What a CTM file may call a row: its recording, which goes first, or itself."""
    return (*([str(cut.recording.id)] if cut.has_recording else []), str(cut.id))


def _field_of(supervision: Any, name: str) -> str | None:
    value = getattr(supervision, name) if name in SUPERVISION_FIELDS else (supervision.custom or {}).get(name)
    return None if value is None or value == "" else str(value)
