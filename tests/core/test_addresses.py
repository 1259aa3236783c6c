"""Which errors of packages behind fsspec are about credentials."""

from __future__ import annotations

import pytest

from audiossl.core.addresses import is_refused


class NoCredentialsError(Exception):
    """As botocore has it."""


class Answered(Exception):
    """As aiohttp has it."""

    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError("Access Denied"), True),
        (NoCredentialsError("Unable to locate credentials"), True),
        (Answered(401), True),
        (Answered(403), True),
        (Answered(503), False),
        (FileNotFoundError("x"), False),
        (ConnectionError("refused"), False),
    ],
    ids=repr,
)
def test_credentials_are_told_from_the_rest(error: Exception, expected: bool) -> None:
    assert is_refused(error) is expected
