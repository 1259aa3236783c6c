"""A folder of factors comes back as it was written, or says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from audiossl.core.errors import CheckpointError
from audiossl.features.factors.fitted import Factors


def test_a_folder_comes_back(factors: Factors, tmp_path: Path) -> None:
    folder = tmp_path / "fäctors"
    factors.save(folder)
    loaded = Factors.load(folder)
    assert loaded.card == factors.card
    states = torch.randn(1, 8)  # one frame is enough
    torch.testing.assert_close(
        loaded.of_states(loaded.model(), states), factors.of_states(factors.model(), states), rtol=0, atol=0
    )


def test_a_folder_that_is_none_or_of_two_halves_says_so(factors: Factors, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="so no factors; fit some with `audiossl factors fit`"):
        Factors.load(tmp_path)
    factors.save(tmp_path)
    said = json.loads((tmp_path / "factors.json").read_text())
    for change, sentence in (({"units": "0"}, "factors of other units than its own"), ({"rank": 9}, "has no loadings")):
        (tmp_path / "factors.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(CheckpointError, match=sentence):
            Factors.load(tmp_path)
