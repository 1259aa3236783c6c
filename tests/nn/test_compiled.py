"""Machine code of loops, kept where a cache can be written."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from audiossl.nn.compiled import compiled


def test_it_is_compiled_afresh_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = numba.njit

    def njit(cache: bool = False, nogil: bool = False) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return plain(nogil=nogil)

    monkeypatch.setattr(numba, "njit", njit)

    def double(number: int) -> int:
        return 2 * number

    assert compiled(double)(3) == 6
    assert compiled(double) is compiled(double)
