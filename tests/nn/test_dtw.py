"""Sums along paths: equal to librosa's, and to those worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import librosa
import numpy as np
import pytest

from audiossl.nn.dtw import path_costs, subsequence_costs

STEPS = np.array([[1, 0], [1, 1], [1, 2]])


def unit(count: int, seed: int) -> np.ndarray:
    states = np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)
    return np.asarray(states / np.linalg.norm(states, axis=1, keepdims=True))


def test_a_query_in_a_document_costs_what_librosa_says() -> None:
    distances = np.random.default_rng(0).random((30, 50)).astype(np.float32)
    starts = np.array([0, 12, 13, 30])
    found = subsequence_costs(distances, starts)
    for number, (first, last) in enumerate(pairwise(starts)):
        own = distances[first:last]
        sums = librosa.sequence.dtw(C=own, step_sizes_sigma=STEPS, subseq=True, backtrack=False)
        assert found[number] == pytest.approx(sums[-1].min() / len(own), rel=1e-5)


def test_a_query_longer_than_the_document_stays_on_its_frames() -> None:
    """Frames of the query at 0.1 from one of two frames of the document each, in their order."""
    distances = np.full((6, 2), 0.9, dtype=np.float32)
    distances[:4, 0] = distances[4:, 1] = 0.1
    assert subsequence_costs(distances, np.array([0, 6]))[0] == pytest.approx(0.1)


def test_a_query_without_a_frame_has_no_cost() -> None:
    assert np.isnan(subsequence_costs(np.zeros((0, 4), np.float32), np.array([0, 0]))[0])
    assert np.isnan(subsequence_costs(np.zeros((2, 0), np.float32), np.array([0, 2]))[0])


def test_a_path_between_segments_costs_what_librosa_says() -> None:
    firsts, seconds = unit(20, 1), unit(25, 2)
    first_starts, second_starts = np.array([0, 8, 20]), np.array([0, 11, 25])
    pairs = np.array([[0, 1], [1, 0], [1, 1]])
    found = path_costs(firsts, seconds, first_starts, second_starts, pairs)
    for number, (one, other) in enumerate(pairs):
        a, b = firsts[slice(*first_starts[one : one + 2])], seconds[slice(*second_starts[other : other + 2])]
        sums, path = librosa.sequence.dtw(C=1 - a @ b.T, step_sizes_sigma=np.array([[1, 1], [1, 0], [0, 1]]))
        assert found[number] == pytest.approx(sums[-1, -1] / len(path), rel=1e-4)


def test_a_segment_is_at_no_distance_from_itself_played_slower() -> None:
    """Each frame twice: the path stays on frames, and costs nothing."""
    firsts = unit(7, 3)
    slower = np.repeat(firsts, 2, axis=0)
    assert path_costs(firsts, slower, np.array([0, 7]), np.array([0, 14]), np.array([[0, 0]]))[0] < 1e-6
    empty = np.array([0, 0])
    assert np.isnan(path_costs(firsts, slower, empty, np.array([0, 14]), np.array([[0, 0]]))[0])
