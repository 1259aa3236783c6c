"""The strings under fields, and commands whose options are fields."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.field_docs import field_docs


@dataclass
class Base:
    """Not of a field."""

    first: int = 0
    """Of the base."""
    silent: int = 0
    second: str = "a"
    """Of the base as well."""


@dataclass
class Derived(Base):
    second: str = "b"
    """Its own,
    on two lines."""

    def method(self) -> None:
        """Of no field."""


def test_strings_under_fields_and_those_of_bases() -> None:
    assert field_docs(Derived) == {"first": "Of the base.", "second": "Its own, on two lines."}
