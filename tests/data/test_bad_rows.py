"""Rows that cannot be used are errors, or left out with a reason."""

from __future__ import annotations

import pytest

from audiossl.core.errors import AudioError, ConfigError, ManifestError
from audiossl.data.bad_rows import BadRows


def test_a_bad_row_is_an_error_or_left_out() -> None:
    with pytest.raises(AudioError, match="t line 1: no sound"), BadRows().of("t line 1"):
        raise AudioError("t line 1: no sound")
    bad = BadRows(skip=True)
    for where, message in (
        ("t line 1", "t line 1: no sound"),
        ("t line 2", "t line 2 is no row"),
        ("t line 3", "lost"),
    ):
        with bad.of(where):
            raise ManifestError(message)
    assert bad.left_out == {"t line 1": "no sound", "t line 2": "is no row", "t line 3": "lost"}
    with pytest.raises(ConfigError), bad.of("t line 4"):
        raise ConfigError("not of a row")
