"""Rows of a corpus that a test may change."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet

from audiossl.data.manifests import read_manifest


@pytest.fixture
def cuts(own_corpus: Path) -> CutSet:
    return read_manifest(own_corpus / "train.jsonl.gz").to_eager()
