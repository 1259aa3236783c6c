"""What is said of an error of another library."""

from __future__ import annotations

import pytest

from audiossl.core.errors import first_line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one  \ntwo"), "one  "),
        (ValueError(""), "ValueError"),
        (ValueError(" \n "), "ValueError"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_first_line_is_never_empty(error: Exception, said: str) -> None:
    assert first_line(error) == said
