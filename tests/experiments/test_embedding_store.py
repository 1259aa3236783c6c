"""Embeddings of a split, kept in the folder of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys.voices import cut_of

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.experiments.config import DataConfig
from audiossl.experiments.embedding_store import EmbeddingStore, is_manifest, items_named

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


def test_parts_are_consecutive_to_the_sample_and_short_rows_stay_whole(tmp_path: Path, weights: Path) -> None:
    lines = ["path,speaker,split"]
    for name, seconds in (("ann", 2.0), ("bob", 0.5)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(int(seconds * 8000)), 8000)
        lines.append(f"{name}.wav,{name},train")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    data = DataConfig(dir=str(tmp_path))
    whole, short = items_named(data, "train")
    parts = list(items_named(data, "train", 0.9))
    assert [part.id for part in parts] == [f"{whole.id}-1", f"{whole.id}-2", short.id]
    assert parts[1].start == parts[0].end
    assert parts[1].supervisions[0].speaker == "ann"
    apart = EmbeddingStore(tmp_path, weights, "train", parts, 1.5)
    assert apart.path.name == "train-in-1.5-s.npz"
    assert apart.key != EmbeddingStore(tmp_path, weights, "train", [whole, short]).key
