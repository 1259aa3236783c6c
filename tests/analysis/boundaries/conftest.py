"""Tones one after the other, whose boundaries are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet
from toys.tones import tone_row


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Manifests dev and test, of four tones a recording."""
    folder = tmp_path_factory.mktemp("tones")
    labels = (["low", "mid", "high", "low"], ["high", "low", "mid", "low"], ["mid", "high", "mid", "low"])
    paths = {}
    for split, letters in (("dev", "abc"), ("test", "def")):
        rows = [tone_row(folder / split, name, own, each_s=0.3) for name, own in zip(letters, labels, strict=True)]
        paths[split] = folder / f"{split}.jsonl.gz"
        CutSet.from_cuts(rows).to_file(paths[split])
    return paths
