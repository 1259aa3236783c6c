"""Who gave which score: a list in one column of a row, `anna=4|ben=5`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from lhotse.cut import Cut

from audiossl.core.errors import LabelError
from audiossl.data.fields import LABEL_SEPARATOR, read_field
from audiossl.downstreams.multi_task.numbers import finite_number


class Rating(NamedTuple):
    """What a listener gave."""

    listener: str
    score: float


def ratings_of(cut: Cut, column: str) -> list[Rating]:
    """The ratings of a row, [] where it has none. Raises LabelError that names the row.

    column: which has them, as `listener=score` with '|' between two of them.
    """
    text = read_field(cut, column)
    found: list[Rating] = []
    for part in (text or "").split(LABEL_SEPARATOR) if text else ():
        listener, equals, score = (each.strip() for each in part.rpartition("="))
        if not equals or not listener:
            raise LabelError(
                f"Item {cut.id!r} has {part!r} in the field {column!r}; write who gave what, such as anna=4|ben=5."
            )
        try:
            found.append(Rating(listener, finite_number(score)))
        except LabelError as error:
            raise LabelError(f"Item {cut.id!r} has in the field {column!r} {error}; correct it, or drop it.") from error
    return found


def listeners_of(cuts: Iterable[Cut], column: str) -> list[str]:
    """All who rated a row, sorted."""
    return sorted({rating.listener for cut in cuts for rating in ratings_of(cut, column)})


def domains_of(cuts: Iterable[Cut], column: str) -> list[str]:
    """All domains of rows, the most frequent first. Rows without one are of the domain ''."""
    counts = Counter(read_field(cut, column) or "" for cut in cuts)
    return sorted(counts, key=lambda name: (-counts[name], name))
