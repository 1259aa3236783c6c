"""Lists in one text, as options of a command have them."""

from __future__ import annotations


def comma_list(text: str) -> list[str]:
    """What stands between the commas of a text, without the white space around it. Empty parts are left out.

    >>> comma_list("linear, knn,")
    ['linear', 'knn']
    """
    return [part.strip() for part in text.split(",") if part.strip()]
