"""What a manifest row says beside its sound: label, speaker, transcript and whatever else its table had."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lhotse.cut import Cut

SUPERVISION_FIELDS = ("speaker", "language", "text")
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
