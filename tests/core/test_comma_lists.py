"""Lists in one text."""

from __future__ import annotations

from audiossl.core.comma_lists import comma_list


def test_white_space_and_empty_parts_are_nothing() -> None:
    assert comma_list(" a b, c,,") == ["a b", "c"]
    assert comma_list("") == comma_list(" , ") == []
