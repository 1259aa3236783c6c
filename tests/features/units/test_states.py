"""Hidden states of a layer come row by row, the same from the encoder and from the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lhotse.cut import Cut
from toys.core import count_encoded

from audiossl import load_upstream, read_manifest
from audiossl.features.config import CacheConfig
from audiossl.features.units.states import layer_states


def test_states_are_those_of_each_row_alone(corpus: Path, toy_upstream: str, tmp_path: Path) -> None:
    upstream, cuts = load_upstream(toy_upstream), read_manifest(corpus / "dev.jsonl.gz")
    cache = CacheConfig(dir=str(tmp_path), dtype="fp32")
    computed = dict(_by_id(layer_states(upstream, cuts, 1)))
    for _ in range(2):
        kept = dict(_by_id(layer_states(upstream, cuts, 1, cache=cache)))
        assert kept.keys() == computed.keys() == {cut.id for cut in cuts}
        for cut in cuts:
            torch.testing.assert_close(kept[cut.id], computed[cut.id])
            assert len(kept[cut.id]) == upstream.num_frames(round(cut.duration * 16000))


def test_what_is_kept_is_not_computed_again_and_spectra_are_not_kept(
    corpus: Path, toy_upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, cache = read_manifest(corpus / "dev.jsonl.gz"), CacheConfig(dir=str(tmp_path))
    upstream = load_upstream(toy_upstream)
    list(layer_states(upstream, cuts, 1, cache=cache))
    encoded = count_encoded(monkeypatch)
    list(layer_states(upstream, cuts, 1, cache=cache))
    assert encoded == []
    there = sorted(tmp_path.iterdir())
    list(layer_states(load_upstream("mfcc"), cuts, 0, cache=cache))
    assert sorted(tmp_path.iterdir()) == there


def _by_id(found: Iterator[tuple[Cut, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    return ((cut.id, states.clone()) for cut, states in found)
