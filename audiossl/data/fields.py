"""What a manifest row says beside its sound: label, speaker, transcript and whatever else its table had."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lhotse.cut import Cut

SUPERVISION_FIELDS = ("speaker", "language", "text")


def read_field(cut: Cut, name: str) -> str | None:
    """A field of the row's first supervision as text; None where it is missing or empty.

    name: 'speaker', 'language', 'text' (the transcript), or any other column, such as 'label'.
    """
    if not cut.supervisions:
        return None
    supervision = cut.supervisions[0]
    value = getattr(supervision, name) if name in SUPERVISION_FIELDS else (supervision.custom or {}).get(name)
    return None if value is None or value == "" else str(value)
