"""Loops over numbers as machine code."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def compiled(function: Any) -> Any:
    """A function as machine code, kept beside its file or in the user's cache folder if either can be written."""
    from numba import njit

    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither can
        return njit(nogil=True)(function)
