"""Slots in a text: `play B-artist nina simone E-artist` has one, of the type artist."""

from __future__ import annotations

from collections.abc import Sequence

from audiossl.data.text import TextError, is_slot_end
from audiossl.metrics.slots import Slot


def plain_words(words: Sequence[str]) -> list[str]:
    """The words without the ends of slots."""
    return [word for word in words if not is_slot_end(word)]


def slots_in(words: Sequence[str]) -> list[Slot]:
    """The slots of a text that a recogniser wrote, which may be anything.

    A beginning counts with the first end of its type after a word, as in SUPERB. Other marks are passed over.

    >>> slots_in("B-a x E-b B-c y E-a B-d z".split())
    [Slot(type='a', value='x y')]
    """
    found: list[Slot] = []
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if not (is_slot_end(word) and word.startswith("B-")):
            continue
        ends = [other for other in range(place + 1, len(words)) if words[other] == f"E-{word[2:]}"]
        if ends:
            found.append(Slot(word[2:], " ".join(plain_words(words[place : ends[0]]))))
            place = ends[0] + 1
    return found


def check_marks(words: Sequence[str]) -> None:
    """Raises TextError, a clause about the text, where a slot is open, empty, or within another one."""
    is_open, size = "", 0
    for word in words:
        if not is_slot_end(word):
            size += 1
            continue
        name = word[2:]
        if word.startswith("B-"):
            if is_open:
                raise TextError(f"begins the slot {name!r} within {is_open!r}")
            is_open, size = name, 0
        elif is_open != name:
            inside = f"within {is_open!r}" if is_open else "which is not open"
            raise TextError(f"ends the slot {name!r}, {inside}")
        elif not size:
            raise TextError(f"has no word in the slot {name!r}")
        else:
            is_open = ""
    if is_open:
        raise TextError(f"never ends the slot {is_open!r}")
