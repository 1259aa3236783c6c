"""Distances of segments, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys.tones import spoken_rows

from audiossl import load_upstream
from audiossl.analysis.discrimination import distances
from audiossl.analysis.discrimination.distances import iter_layers, mean_distances, path_distances
from audiossl.core.errors import AudioError, LabelError
from audiossl.data.manifests import read_manifest
from audiossl.data.segments import read_segments
from audiossl.features.config import CacheConfig
from audiossl.features.segment_states import segment_states

SMALL = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}


@pytest.fixture
def given(tmp_path: Path) -> tuple[Any, Any, Any]:
    cuts = read_manifest(spoken_rows(tmp_path, 2)).to_eager()
    return load_upstream("tera", weights="random", **SMALL), cuts, read_segments(cuts)


def test_means_are_those_of_segment_states(given: tuple[Any, Any, Any]) -> None:
    upstream, cuts, segments = given
    expected = segment_states(upstream, cuts, segments, [0, 2])
    for layer, found in iter_layers(upstream, cuts, segments, [0, 2], frames=False):
        assert found.frames is None
        assert np.allclose(found.means, expected.layers[layer], atol=1e-5)
        with pytest.raises(ValueError, match="need the frames"):
            path_distances(found)


def test_frames_in_parts_and_from_the_cache_are_the_same(
    given: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, cuts, segments = given
    whole = dict(iter_layers(upstream, cuts, segments, [0, 1, 2], frames=True))
    monkeypatch.setattr(distances, "MOST_BYTES", 1)
    cache = CacheConfig(dir=str(tmp_path / "cache"), dtype="fp32")
    parts = dict(iter_layers(upstream, cuts, segments, [0, 1, 2], frames=True, cache=cache))
    assert list(parts) == [0, 1, 2]
    for layer, found in whole.items():
        assert np.array_equal(found.starts, parts[layer].starts)
        assert found.frames is not None
        assert parts[layer].frames is not None
        assert np.allclose(found.frames, parts[layer].frames, atol=1e-5)


def test_standardised_dimensions_have_mean_0_and_variance_1(given: tuple[Any, Any, Any]) -> None:
    upstream, cuts, segments = given
    ((_, found),) = iter_layers(upstream, cuts, segments, [1], frames=True, standardize=True)
    assert found.frames is not None
    assert np.allclose(found.frames.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(found.frames.std(axis=0), 1, atol=1e-3)


def test_tones_are_nearer_to_their_like(given: tuple[Any, Any, Any]) -> None:
    _, cuts, every = given
    log_mel, segments = load_upstream("log_mel"), [each for each in every if each.speaker == "a"]
    ((_, found),) = iter_layers(log_mel, cuts, segments, [0], frames=True, standardize=True)
    labels = np.array([each.label for each in segments])
    same = labels[:, None] == labels[None, :]
    for matrix in (mean_distances(found.means), path_distances(found)):
        assert matrix.shape == (6, 6)
        assert np.allclose(matrix, matrix.T, atol=1e-6)
        assert np.allclose(np.diag(matrix), 0, atol=1e-5)
        assert matrix[same].max() < matrix[~same].min()


def test_states_that_are_not_finite_are_one_sentence(
    given: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, cuts, segments = given
    bad = {0: torch.full((90, 80), torch.nan)}
    monkeypatch.setattr(distances, "row_states", lambda *_, **__: ((cut, bad) for cut in cuts))
    with pytest.raises(AudioError, match="has states of row a0 that are not finite"):
        list(iter_layers(upstream, cuts, segments, [0], frames=False))


def test_segments_of_rows_that_are_not_there_are_one_sentence(given: tuple[Any, Any, Any]) -> None:
    upstream, cuts, segments = given
    lost = [segments[0]._replace(recording="elsewhere"), *segments[1:]]
    with pytest.raises(LabelError, match="Row elsewhere has segments and is not in the manifest"):
        list(iter_layers(upstream, cuts, lost, [0], frames=False))
    assert not torch.is_inference_mode_enabled()
