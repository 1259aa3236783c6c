"""Rows of a source that cannot be used: an error of one sentence, or left out and listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from audiossl.core.errors import AudioError, ManifestError


class BadRows:
    """What becomes of rows that cannot be used.

    skip: whether they are left out. If not, the first one is an error.
    left_out: why each of them is, by its place.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
        self.left_out: dict[str, str] = {}

    @contextmanager
    def of(self, where: str) -> Iterator[None]:
        """A block that reads one row. AudioError and ManifestError end it, and with `skip` nothing else.

        where: the place of the row.
        """
        try:
            yield
        except (AudioError, ManifestError) as error:
            if not self.skip:
                raise
            self.left_out[where] = str(error).removeprefix(where).lstrip(": ")
