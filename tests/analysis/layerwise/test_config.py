"""What options say."""

from __future__ import annotations

import pytest

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.core.errors import ConfigError


def test_lists_are_read() -> None:
    options = AnalyseOptions(ridges="1e-6, 1", ignore="sil, spn,")
    assert options.all_ridges == [1e-6, 1.0]
    assert options.ignored == ["sil", "spn"]


@pytest.mark.parametrize("ridges", ["", "0", "a,1", "1,-2", "inf"])
def test_ridges_are_numbers_above_zero(ridges: str) -> None:
    with pytest.raises(ConfigError, match="--ridges"):
        AnalyseOptions(ridges=ridges)


def test_cross_validation_needs_three_folds() -> None:
    with pytest.raises(ConfigError, match="folds"):
        AnalyseOptions(folds=2)
