"""Values of JSON files have the types that are expected of them, or the file is named."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.core.typed_json import check_types, is_of


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, int, True), (1, float, True), (1.5, int, False), (True, int, False), (True, bool, True), ("1", int, False),
        (None, int, False), (None, int | None, True), (2, int | None, True), ("a", int | None, False),
        ([], list[int], True), ([1, None], list[int], False), ([[1], [2.0]], list[list[float]], True),
        ({}, list[int], False),
        ({"a": [1]}, dict[str, list[float]], True), ({"a": ["x"]}, dict[str, list[float]], False),
        ([], dict[str, int], False),
        ("off", Literal["off", "on"], True), ("x", Literal["off"] | None, False), (None, Literal["off"] | None, True),
        (object(), Any, True), ([{}, {"a": 1}], list[dict[str, Any]], True), ([1], list[dict[str, Any]], False),
    ],
)  # fmt: skip
def test_types(value: Any, kind: Any, expected: bool) -> None:
    assert is_of(value, kind) is expected


def test_the_file_the_name_and_the_value_are_said() -> None:
    check_types({"a": 1, "unknown": object()}, {"a": int, "missing": str}, "x.json", "mend it")
    with pytest.raises(AudiosslError) as caught:
        check_types({"a": list(range(100))}, {"a": str}, "x.json", "write it again")
    assert str(caught.value) == f"x.json is damaged: 'a' is {str(list(range(100)))[:60]}...; write it again."
