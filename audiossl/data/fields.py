"""What a manifest row says beside its sound: label, speaker, transcript and whatever else its table had."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhotse.cut import Cut

SUPERVISION_FIELDS = ("speaker", "language", "text")
_TABLE_COLUMNS = {"text": "transcript"}  # where a table calls it otherwise
LABEL_SEPARATOR = "|"  # between the labels of a row that has several
# What other programs call the columns of our tables, the most certain name first.
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "audio", "file", "file_name", "filename", "audio_filepath"),
    "start": ("start", "start_time", "offset"),
    "end": ("end", "end_time"),
    "sample_rate": ("sample_rate", "sampling_rate"),
    "transcript": ("transcript", "text", "transcription", "sentence"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "language": ("language", "lang", "locale"),
}


def read_field(cut: Cut, name: str) -> str | None:
    """A field of the row's first supervision as text. None where it is missing or empty.

    name: 'speaker', 'language', 'text' (the transcript), or any other column, such as 'label'.
    """
    if not cut.supervisions:
        return None
    supervision = cut.supervisions[0]
    value = getattr(supervision, name) if name in SUPERVISION_FIELDS else (supervision.custom or {}).get(name)
    return None if value is None or value == "" else str(value)


def known_fields(cuts: Iterable[Cut]) -> list[str]:
    """The names under which any row says something, sorted."""
    found = set()
    for cut in cuts:
        for part in cut.supervisions:
            found |= {name for name in (*SUPERVISION_FIELDS, *(part.custom or {})) if read_field(cut, name) is not None}
    return sorted(found)


def rows_without(cuts: Iterable[Cut], name: str, where: str) -> str:
    """A clause on the rows that have nothing in a field, with their number and the fields that there are.

    cuts: all rows.
    name: the field.
    where: what the rows are called.
    Returns '' where every row has something.
    """
    rows = list(cuts)
    lacking = [cut.id for cut in rows if read_field(cut, name) is None]
    if not lacking:
        return ""
    column = f" (the column {_TABLE_COLUMNS[name]} of a table)" if name in _TABLE_COLUMNS else ""
    known = ", ".join(known_fields(rows)) or "none"
    return (
        f"{len(lacking)} of the {len(rows)} rows of {where} have nothing in the field {name!r}{column}, the first is "
        f"{lacking[0]!r}; what there is: {known}"
    )


def read_labels(cut: Cut, name: str) -> list[str] | None:
    """The labels of a row that may have none or several (`a|b`), sorted. None for a row that lacks the field.

    A field that is there and empty says that there is none of them.
    """
    if not cut.supervisions:
        return None
    text = read_field(cut, name)
    if text is None:
        return [] if name in (cut.supervisions[0].custom or {}) else None
    return sorted({label.strip() for label in text.split(LABEL_SEPARATOR)} - {""})


class ColumnNames:
    """Which columns of somebody's rows are ours.

    of: somebody's name of each column of ours that they have.

    >>> ColumnNames(["audio", "sentence", "age"], {"label": "age"}).of
    {'path': 'audio', 'transcript': 'sentence', 'label': 'age'}
    """

    def __init__(self, theirs: Iterable[str], named: Mapping[str, str] | None = None) -> None:
        """
        theirs: all their names.
        named: what the user has said, by our names. '' leaves a column out.
        """
        said = dict(named or {})
        free = set(theirs) - set(said.values())
        guessed = {ours: next((name for name in names if name in free), "") for ours, names in OTHER_NAMES.items()}
        self.of = {ours: name for ours, name in {**guessed, **said}.items() if name}
        self._taken = {*said, *self.of, *self.of.values()}

    def fields(self, told: Mapping[str, Any]) -> dict[str, str]:
        """What a row says in our columns, and in those that only they have, as text. What is no text is left out."""
        others = {name: as_text(value) for name, value in told.items() if name not in self._taken}
        ours = {name: as_text(told.get(theirs)) for name, theirs in self.of.items()}
        return {name: text for name, text in {**others, **ours}.items() if text is not None}


def as_text(value: Any) -> str | None:
    """A value of a table in memory or of JSON, as a manifest has it. '' for none, None for what is no text.

    >>> as_text("a"), as_text(2.5), as_text(float("nan")), as_text(["b", "c"]), as_text({"d": 1})
    ('a', '2.5', '', 'b|c', None)
    """
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a number of NumPy's
    if value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("<NA>", "NaT"):
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple):
        texts = [as_text(each) for each in value]
        plain = [text for text in texts if text is not None]
        return LABEL_SEPARATOR.join(plain) if len(plain) == len(texts) else None
    return None
