"""Methods that there are."""

from __future__ import annotations

import pytest

from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.core.errors import ConfigError


def test_unknown_methods_are_an_error() -> None:
    assert BoundaryOptions(methods="greedy, peaks").asked == ["greedy", "peaks"]
    for methods in ("greed", ""):
        with pytest.raises(ConfigError, match="choose of min_cut, greedy, peaks, uniform"):
            BoundaryOptions(methods=methods)
