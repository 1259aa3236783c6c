"""What a manifest row says beside its sound: label, speaker, transcript and whatever else its table had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lhotse.cut import Cut

SUPERVISION_FIELDS = ("speaker", "language", "text")
_TABLE_COLUMNS = {"text": "transcript"}  # where a table calls it otherwise
LABEL_SEPARATOR = "|"  # between the labels of a row that has several


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
