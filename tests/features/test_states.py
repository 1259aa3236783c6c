"""Hidden states of several layers come row by row, the same from the encoder and from the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lhotse import CutSet
from toys.core import count_encoded

from audiossl import load_upstream
from audiossl.features.config import CacheConfig
from audiossl.features.states import row_states


def test_all_layers_come_from_one_pass(
    cuts: CutSet, toy_upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, cache = load_upstream(toy_upstream), CacheConfig(dir=str(tmp_path), dtype="fp32")
    layers = list(range(upstream.num_layers))
    computed = {cut.id: states for cut, states in row_states(upstream, cuts, layers)}
    list(row_states(upstream, cuts, layers, cache=cache))
    encoded = count_encoded(monkeypatch)
    kept = {cut.id: states for cut, states in row_states(upstream, cuts, layers, cache=cache)}
    assert encoded == [] and kept.keys() == computed.keys() == {cut.id for cut in cuts}
    for name, states in kept.items():
        assert list(states) == layers
        for layer in layers:
            torch.testing.assert_close(states[layer], computed[name][layer])
