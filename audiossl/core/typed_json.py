"""What a JSON file says, checked where it is read: files come from other versions, other people and full disks."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from audiossl.core.errors import AudiosslError


def check_types(found: Mapping[str, Any], expected: Mapping[str, Any], where: str | Path, fix: str) -> None:
    """Raise AudiosslError where a value is of another type than is expected of it.

    found: values by name. What is not among them is not missed.
    expected: types by name, such as `list[str] | None`.
    where: the file, and the line where that helps.
    fix: what the user should do, as the end of a sentence.
    """
    for name, kind in expected.items():
        if name in found and not is_of(found[name], kind):
            raise AudiosslError(f"{where} is damaged: {name!r} is {_shortened(found[name])}; {fix}.")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a type. An integer is a float too, a boolean is neither.

    >>> is_of([1, 2.5], list[float]), is_of([1, "a"], list[float]), is_of({"a": None}, dict[str, int | None])
    (True, False, True)
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(is_of(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(is_of(each, arguments[1]) for each in value.values())
    if kind is Any:
        return True
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return value is None if kind in (None, type(None)) else isinstance(value, kind)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
