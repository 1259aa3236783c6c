"""Frames of queries against those of a document."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiossl.downstreams.query_by_example import searching
from audiossl.downstreams.query_by_example.searching import Measure, Queries, score_document, unit_frames

PLAIN = Measure("cosine", False, 1)


def frames(count: int, seed: int, width: int = 6) -> torch.Tensor:
    return unit_frames(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)))


def queries_of(*counts: int) -> Queries:
    return Queries.of([{0: frames(count, n), 2: frames(count, n + 9, 4)} for n, count in enumerate(counts)], (0, 2))


def test_a_query_that_was_cut_from_the_document_is_found_at_no_distance() -> None:
    document = {0: frames(40, 1), 2: frames(40, 2, 4)}
    cut = {layer: states[10:20] for layer, states in document.items()}
    queries = Queries.of([cut, {0: frames(8, 5), 2: frames(8, 6, 4)}], (0, 2))
    for measure in (PLAIN, Measure("cosine_exp", False, 1), Measure("cosine_exp", True, 1)):
        found = score_document(queries, document, measure)
        assert found.shape == (2, 2)
        assert found[:, 0] == pytest.approx([0, 0], abs=1e-5)
        assert (found[:, 1] < -0.05).all()


def test_the_distance_of_a_frame_is_as_published() -> None:
    """At 60 degrees: 1 - cos = 1/2, exp(1/2) - 1. Scaled, the nearest frame is at 0."""
    query = {0: torch.tensor([[1.0, 0.0]])}
    document = {0: torch.tensor([[0.5, 0.75**0.5]])}
    queries = Queries.of([query], (0,))
    assert score_document(queries, document, PLAIN)[0, 0] == pytest.approx(-0.5, rel=1e-5)
    published = score_document(queries, document, Measure("cosine_exp", False, 1))
    assert published[0, 0] == pytest.approx(1 - np.exp(0.5), rel=1e-5)
    assert score_document(queries, document, Measure("cosine", True, 1))[0, 0] == pytest.approx(0.0)


def test_queries_that_are_too_short_have_no_score() -> None:
    found = score_document(queries_of(5, 4), {0: frames(9, 3), 2: frames(9, 4, 4)}, PLAIN._replace(min_frames=5))
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, 0]).all()


def test_many_queries_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, document = queries_of(5, 7, 30, 2, 9), {0: frames(25, 3), 2: frames(25, 4, 4)}
    whole = score_document(queries, document, PLAIN)
    monkeypatch.setattr(searching, "_MOST_ROWS", 12)
    assert list(queries.parts()) == [(0, 2), (2, 3), (3, 5)]
    assert score_document(queries, document, PLAIN) == pytest.approx(whole, rel=1e-5)
