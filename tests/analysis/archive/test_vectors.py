"""Vectors of windows: those of the encoder, in the order of the rows, and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.archive import write_archive

from audiossl.analysis.archive.vectors import one_layer, repeated, unit, window_vectors
from audiossl.core.errors import ConfigError
from audiossl.data.archive import archive_windows
from audiossl.data.config import ArchiveOptions
from audiossl.data.reading import read_cut
from audiossl.encoders.kept import load_identified
from audiossl.features.config import CacheConfig
from audiossl.features.source import FeatureSource


def test_vectors_are_means_of_the_encoder_and_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_identified("tera_mini", {"weights": "random"})
    cuts = archive_windows([str(write_archive(tmp_path / "a", 1))], ArchiveOptions(window_s=0.5), 16000)
    cache = CacheConfig(dir=str(tmp_path / "cache"))
    found = window_vectors(encoder, cuts, 1, "mean", cache)
    for cut, vector in zip(cuts, found, strict=True):
        wavs = torch.from_numpy(read_cut(cut, 16000))[None]
        with torch.no_grad():
            alone = encoder.upstream(wavs).layers[1][0].mean(dim=0)
        assert np.allclose(vector, alone.numpy(), atol=1e-5)
    monkeypatch.setattr(FeatureSource, "_compute", None)  # nothing is to be computed again
    assert np.array_equal(window_vectors(encoder, cuts, 1, "mean", cache), found)


def test_small_parts() -> None:
    assert one_layer("-1", 4) == 3
    with pytest.raises(ConfigError, match="--layer all: an index is of one layer"):
        one_layer("all", 4)
    assert np.allclose(unit(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])
    assert repeated(["a", "b", "a"]) == "a"
    assert repeated(["a", "b"]) == ""
