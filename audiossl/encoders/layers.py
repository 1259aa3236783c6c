"""The one way to name layers, and the one check that they are there."""

from __future__ import annotations

import re

from audiossl.core.errors import ConfigError

_PART = re.compile(r"(-?\d+)(?:-(-?\d+))?")


def parse_layers(text: str, num_layers: int, *, option: str = "--layers") -> list[int]:
    """Numbers of layers, in order and each once, from what a user writes.

    text: 'all', 'last', or numbers and ranges with commas between them. A negative number counts from the end.
    num_layers: how many there are.
    option: what the user wrote them for, for the error.
    Raises ConfigError.

    >>> parse_layers("0,6-8", 13), parse_layers("-1", 13), parse_layers("-3--1", 13), parse_layers("last", 13)
    ([0, 6, 7, 8], [12], [10, 11, 12], [12])
    """
    if text in ("all", "last"):
        return list(range(num_layers)) if text == "all" else [num_layers - 1]
    chosen: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ConfigError(
                f"{option} {text}: write all, last, or numbers and ranges such as 0,6-8 or -1; {_there_are(num_layers)}"
            )
        first, last = (_from_the_start(int(number), num_layers) for number in (found[1], found[2] or found[1]))
        if not 0 <= first <= last < num_layers:
            raise ConfigError(f"{option} {text}: {_there_are(num_layers)}")
        chosen.update(range(first, last + 1))
    return sorted(chosen)


def last_layer(up_to_layer: int | None, num_layers: int) -> int:
    """The layer to stop after, the very last for None. Raises ConfigError for one that is not there."""
    last = num_layers - 1 if up_to_layer is None else up_to_layer
    if not 0 <= last < num_layers:
        raise ConfigError(f"up_to_layer={up_to_layer}: {_there_are(num_layers)}")
    return last


def _from_the_start(number: int, num_layers: int) -> int:
    return number + num_layers if number < 0 else number


def _there_are(num_layers: int) -> str:
    return f"this upstream has layers 0 to {num_layers - 1}."
