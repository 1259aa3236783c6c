"""What the publisher decides."""

from __future__ import annotations

import dataclasses

from audiossl import PushOptions
from audiossl.core.field_docs import field_docs


def test_nothing_is_claimed_unless_it_is_said() -> None:
    assert dataclasses.asdict(PushOptions()) == {"private": False, "licence": "", "data": ""}
    assert field_docs(PushOptions).keys() == {"private", "licence", "data"}
