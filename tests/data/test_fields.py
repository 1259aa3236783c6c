"""What a row says under a name."""

from __future__ import annotations

import numpy as np
import pytest
from toys.words import cut_of

from audiossl.data.fields import ColumnNames, as_text, read_field


@pytest.mark.parametrize(
    ("field_name", "expected"), [("label", "no"), ("speaker", "ann"), ("text", "hello"), ("language", None)]
)
def test_fields_that_labels_are_read_from(field_name: str, expected: str | None) -> None:
    assert read_field(cut_of(0, "no", "ann"), field_name) == expected


def test_numbers_are_labels_too_and_empty_text_is_none() -> None:
    cut = cut_of(0, "no")
    cut.supervisions[0].custom = {"label": 0, "other": ""}
    assert read_field(cut, "label") == "0"
    assert read_field(cut, "other") is None


def test_columns_of_others_are_found_by_what_they_are_called() -> None:
    told = {"path": "x", "audio": "y", "sentence": "hi", "text": "HI", "kind": ["a", 1], "extra": {"b": 2}, "n": None}
    assert ColumnNames(told).fields(told) == {
        "path": "x",
        "audio": "y",
        "transcript": "HI",
        "sentence": "hi",
        "kind": "a|1",
        "n": "",
    }
    named = ColumnNames(told, {"path": "audio", "label": "kind", "transcript": "", "n": ""})
    assert named.fields(told) == {"path": "y", "label": "a|1", "sentence": "hi", "text": "HI"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.float32(0.5), "0.5"), (np.int64(3), "3"), (True, "True"), (float("inf"), "inf"), ([{}], None), (b"x", None)],
)
def test_values_as_text(value: object, expected: str | None) -> None:
    assert as_text(value) == expected
