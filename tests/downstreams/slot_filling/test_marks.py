"""Slots in texts that are right, and in texts that a recogniser wrote."""

from __future__ import annotations

import pytest

from audiossl.data.text import TextError
from audiossl.downstreams.slot_filling.marks import check_marks, plain_words, slots_in
from audiossl.metrics.slots import Slot


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("a b", []),
        ("B-x a b E-x c B-y d E-y", [("x", "a b"), ("y", "d")]),
        ("B-x a", []),  # never ends
        ("a E-x B-x b E-x", [("x", "b")]),  # an end too many
        ("B-x a B-y b E-y E-x", [("x", "a b")]),  # what is within another one counts for its words
        ("B-x E-x a E-x", [("x", "a")]),  # an end counts after a word
        ("B-x a E-x B-x b E-x", [("x", "a"), ("x", "b")]),
        ("B-art a E-artist E-art", [("art", "a")]),
    ],
)
def test_slots_of_any_text(text: str, slots: list[tuple[str, str]]) -> None:
    assert slots_in(text.split()) == [Slot(*each) for each in slots]


def test_words_are_what_is_no_end() -> None:
    assert plain_words(["B-x", "e-mail", "B-", "E-x", "b"]) == ["e-mail", "B-", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("B-x a B-y b E-y E-x", "begins the slot 'y' within 'x'"),
        ("a E-x", "ends the slot 'x', which is not open"),
        ("B-x a E-y", "ends the slot 'y', within 'x'"),
        ("a B-x E-x", "has no word in the slot 'x'"),
        ("a B-x b", "never ends the slot 'x'"),
    ],
)
def test_a_reference_that_is_not_well_formed_is_a_clause(text: str, message: str) -> None:
    with pytest.raises(TextError, match=f"^{message}$"):
        check_marks(text.split())
    check_marks(["B-x", "a", "E-x", "b", "B-x", "c", "E-x"])
