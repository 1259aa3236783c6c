"""Ranges of numbers, written beside the fields of a config dataclass and checked by `audiossl.core.config.structured`.

@dataclass(frozen=True)
class Config:
    lr: Annotated[float, Range(above=0)] = 1e-3
    dropout: ShareBelowOne = 0.0
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from audiossl.core.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """The numbers that a field may be. In none are NaN, infinity, and what a tensor of them could not hold.

    least: the smallest of them. None for no such bound.
    most: the largest of them, likewise.
    above: what they are all larger than, likewise.
    below: what they are all smaller than, likewise.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether the number is one of them.

        >>> Range(0, below=1).holds(0), Range(0, below=1).holds(1), Range(above=0).holds(float("nan"))
        (True, False, False)
        """
        return (
            math.isfinite(value)
            and abs(value) <= _largest(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """After 'must be'.

        >>> print(Range(1), Range(0, 1), Range(0, below=1), Range(above=0), Range(), sep=", ")
        at least 1, from 0 to 1, at least 0 and below 1, above 0, finite
        """
        if self.least is not None and self.most is not None:
            return f"from {_plain(self.least)} to {_plain(self.most)}"
        bounds = ((self.least, "at least"), (self.above, "above"), (self.below, "below"), (self.most, "at most"))
        return " and ".join(f"{word} {_plain(bound)}" for bound, word in bounds if bound is not None) or "finite"


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _largest(value: float) -> float:
    """What a tensor holds at most: whole numbers of 64 bits, others of 32."""
    return 2**63 - 1 if isinstance(value, int) else 3.4e38


Finite = Annotated[float, Range()]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
ShareBelowOne = Annotated[float, Range(0, below=1)]
Count = Annotated[int, Range(1)]
CountOrZero = Annotated[int, Range(0)]
Depth = Annotated[int, Range(1, 1000)]  # of a network: beyond it, building one takes for ever
Seed = Annotated[int, Range(0, 2**32 - 1)]  # what numpy and scikit-learn take


def check_ranges(config: Any, within: str = "", where: str = "") -> None:
    """Raise ConfigError for the first field that is outside its range, those of nested dataclasses included.

    config: an instance of a dataclass.
    within: the section that holds it, the first part of the names of its fields.
    where: what the error calls it. Empty for nothing.
    """
    prefix = f"{within}." if within else ""
    for fault in _faults(config, type(config), prefix.removesuffix(".")):
        raise ConfigError(f"In the {where}: {fault}" if where else fault)


def range_of(schema: type, name: str) -> Range | None:
    """The range of a field of a dataclass. None for a field without one, or with one for each of several parts."""
    hint = _annotated(schema)[name]
    for option in typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,):
        for note in getattr(option, "__metadata__", ()):
            if isinstance(note, Range):
                return note
    return None


_UNIONS = (typing.Union, type(int | None))


def _unless_huge(value: float) -> str:
    return f" and at most {_largest(value):.0e}" if math.isfinite(value) and value > _largest(value) else ""


@cache
def _annotated(schema: type) -> dict[str, Any]:
    hints = typing.get_type_hints(schema, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(schema)}


def _faults(value: Any, hint: Any, name: str) -> Iterator[str]:
    """What is wrong with a value of that type, in words."""
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            for key, inner in _annotated(hint).items():  # type: ignore[arg-type]
                yield from _faults(getattr(value, key), inner, f"{name}.{key}" if name else key)
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        bounds = [note for note in hint.__metadata__ if isinstance(note, Range)]
        # Numbers alone: what is null, or a list of numbers with bounds of their own, has none here.
        if isinstance(value, int | float) and not isinstance(value, bool):
            wrong = [bound for bound in bounds if not bound.holds(value)]
            yield from (f"{name}={_plain(value)} must be {bound}{_unless_huge(value)}." for bound in wrong)
        yield from _faults(value, arguments[0], name)
    elif origin in _UNIONS:
        for option in arguments:
            yield from _faults(value, option, name)
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(item, arguments[1], f"{name}.{key}")
    elif origin in (list, tuple) and isinstance(value, list | tuple):
        kinds = arguments if len(arguments) == len(value) and Ellipsis not in arguments else arguments[:1] * len(value)
        for number, (item, kind) in enumerate(zip(value, kinds, strict=True)):
            yield from _faults(item, kind, f"{name}[{number}]")
