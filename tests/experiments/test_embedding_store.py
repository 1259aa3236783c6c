"""Embeddings of a split, kept in the folder of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.voices import cut_of

from audiossl.experiments.embedding_store import EmbeddingStore, is_manifest

ROWS = [{"id": "ä", "speaker": None, "embedding": [0.5, -1.0]}, {"id": "b", "speaker": "bob", "embedding": [2.0, 0.25]}]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "best.safetensors").write_bytes(b"one")
    return tmp_path / "best.safetensors"


def test_what_is_kept_comes_back_for_the_same_weights_and_rows_alone(tmp_path: Path, weights: Path) -> None:
    cuts = [cut_of(0, "ann"), cut_of(1, "bob")]
    store = EmbeddingStore(tmp_path, weights, "dev", cuts)
    assert store.read() is None
    store.write(ROWS)
    assert store.read() == ROWS
    assert EmbeddingStore(tmp_path, weights, "dev", cuts[::-1]).read() == ROWS
    assert EmbeddingStore(tmp_path, weights, "dev", cuts[:1]).read() is None
    assert EmbeddingStore(tmp_path, weights, "dev", [cuts[0], cut_of(1, "cem")]).read() is None
    weights.write_bytes(b"two")
    assert EmbeddingStore(tmp_path, weights, "dev", cuts).read() is None


def test_a_damaged_file_counts_as_none_and_a_manifest_has_a_file_of_its_own(tmp_path: Path, weights: Path) -> None:
    store = EmbeddingStore(tmp_path, weights, "other/dev.jsonl.gz", [])
    assert store.path.name == "of-dev.npz"
    assert is_manifest("other/dev.jsonl.gz")
    assert not is_manifest("dev")
    store.write(ROWS)
    store.path.write_bytes(store.path.read_bytes()[:60])
    assert store.read() is None
