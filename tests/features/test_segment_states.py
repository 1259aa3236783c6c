"""Segments as vectors: which frames a segment has, by hand, and that the cache and the order change nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lhotse import CutSet

from audiossl import load_upstream
from audiossl.core.errors import AudioError, LabelError
from audiossl.data.segments import Segment
from audiossl.features.config import CacheConfig
from audiossl.features.segment_states import frames_of, iter_segment_states, pool_spans, segment_states
from audiossl.features.states import row_states

# Centres at 0.01, 0.03, 0.05, ... seconds.
ENCODER = SimpleNamespace(sample_rate_hz=1000, stride=20, receptive_field=21, edge=0)


def _spans(*times_s: tuple[float, float], pooling: str = "mean", num_frames: int = 5) -> list[tuple[int, int, bool]]:
    segments = [Segment("a", start_s, end_s, "x") for start_s, end_s in times_s]
    return list(zip(*(each.tolist() for each in frames_of(segments, num_frames, ENCODER, pooling)), strict=True))  # type: ignore[arg-type]


def test_a_frame_is_where_its_centre_is() -> None:
    assert _spans((0.0, 0.1), (0.01, 0.03), (0.011, 0.031)) == [(0, 5, False), (0, 1, False), (1, 2, False)]
    # No centre within: the nearest to the middle. Behind the last frame: the last.
    assert _spans((0.032, 0.036), (0.012, 0.028), (0.2, 0.3)) == [(1, 2, True), (1, 2, True), (4, 5, True)]
    assert _spans((0.0, 0.1), (0.0, 0.05), pooling="centre") == [(2, 3, False), (1, 2, False)]
    with pytest.raises(ValueError, match="choose mean or centre"):
        _spans((0.0, 0.1), pooling="max")


def test_pooling_is_the_mean_of_the_frames() -> None:
    states = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    segments = [Segment("a", 0.1, 0.5, "x"), Segment("a", 0.0, 1.0, "y"), Segment("a", 0.301, 0.302, "z")]
    pooled = pool_spans(states, frames_of(segments, 50, ENCODER))
    for vector, frames in zip(pooled, (states[5:25], states, states[15:16]), strict=True):
        np.testing.assert_allclose(vector, frames.mean(dim=0).numpy(), rtol=1e-5, atol=1e-6)


def test_vectors_lie_where_their_segments_do(
    cuts: CutSet, toy_upstream: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream, cache = load_upstream(toy_upstream), CacheConfig(dir=str(tmp_path), dtype="fp32")
    chosen = list(cuts)[:3]
    segments = [Segment(cut.id, 0.1 * part, 0.1 * part + 0.15, str(part)) for part in (0, 1) for cut in chosen]
    segments.append(Segment(chosen[0].id, 0.2, 0.2001, "short"))
    with caplog.at_level(logging.WARNING):
        found = segment_states(upstream, cuts, segments, [0, 1], cache=cache)
    assert found.num_short == 1 and "1 of 7 segments are shorter than a frame" in caplog.text
    alone = {cut.id: states for cut, states in row_states(upstream, CutSet.from_cuts(chosen), [0, 1])}
    for place, segment in enumerate(segments):
        states = alone[segment.recording][1]
        expected = pool_spans(states, frames_of([segment], len(states), upstream))
        np.testing.assert_allclose(found.layers[1][place], expected[0], rtol=1e-4, atol=1e-5)
    parts = list(iter_segment_states(upstream, cuts, segments, [0], cache=cache))
    assert sorted(place for part in parts for place in part.places) == list(range(7)) and len(parts) == 3


def test_errors_are_one_sentence(cuts: CutSet, toy_upstream: str) -> None:
    upstream = load_upstream(toy_upstream)
    with pytest.raises(LabelError, match="There is no segment to take hidden states of"):
        segment_states(upstream, cuts, [], [0])
    with pytest.raises(LabelError, match=r"1 row\(s\) with segments are not in the manifest, nobody for instance"):
        segment_states(upstream, cuts, [Segment("nobody", 0, 1, "x")], [0])
    with torch.no_grad():
        next(iter(upstream.parameters())).fill_(float("nan"))
    first = next(iter(cuts)).id
    with pytest.raises(AudioError):
        segment_states(upstream, cuts, [Segment(first, 0, 0.1, "x")], [0, 1])
