"""Small factors of the toy encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.features.factors.config import FactorsOptions
from audiossl.features.factors.fitted import Factors
from audiossl.features.factors.fitting import fit_factor_analysis


@pytest.fixture
def factors(corpus: Path, toy_upstream: str) -> Factors:
    options = FactorsOptions(clusters=4, rank=3, iterations=1, layer="1")
    return fit_factor_analysis(toy_upstream, [corpus / "dev.jsonl.gz"], options)
