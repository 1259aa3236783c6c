"""What a row says under a name."""

from __future__ import annotations

import pytest
from toys.words import cut_of

from audiossl.data.fields import read_field


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
