"""Segmenters on blocks that are known: exact, and equal to a search of everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audiossl.analysis.boundaries.segmenters import change, directions, greedy, merged, min_cut, peaks, uniform

STARTS = [0, 7, 12, 25, 33]


@pytest.fixture
def blocks() -> np.ndarray:
    """Forty frames of five blocks."""
    rng = np.random.default_rng(0)
    sizes = np.diff([*STARTS, 40])
    states = np.repeat(rng.standard_normal((5, 12)), sizes, axis=0)
    return directions(states + 0.05 * rng.standard_normal(states.shape))


def test_blocks_are_found_exactly(blocks: np.ndarray) -> None:
    assert greedy(blocks, 0.7).tolist() == STARTS
    assert min_cut(blocks, [5], 40)[5].tolist() == STARTS
    # More segments than blocks: alike neighbours are merged again.
    assert merged(blocks, min_cut(blocks, [9], 40)[9], 0.7).tolist() == STARTS
    assert peaks(change(blocks, 3), 0.5).tolist() == STARTS
    assert merged(blocks, np.array(STARTS), 1.0).tolist() == STARTS
    assert merged(blocks, np.array(STARTS), -1.1).tolist() == [0]


def test_min_cut_is_the_least_of_all() -> None:
    x = directions(np.random.default_rng(1).standard_normal((9, 3)))
    alike = x @ x.T - (x @ x.T).min()

    def cost(starts: tuple[int, ...]) -> float:
        bounds, total = [*starts, 9], 0.0
        for first, stop in itertools.pairwise(bounds):
            within = alike[first:stop, first:stop].sum()
            cut = alike[first:stop].sum() - within
            total += cut / (cut + within)
        return total

    for count in (2, 3, 4):
        every = [(0, *rest) for rest in itertools.combinations(range(1, 9), count - 1)]
        assert cost(tuple(min_cut(x, [count], 9)[count])) == pytest.approx(min(map(cost, every)))


def test_numbers_that_do_not_fit_are_the_nearest() -> None:
    x = directions(np.random.default_rng(1).standard_normal((10, 3)))
    found = min_cut(x, [1, 4, 99], longest=3)
    assert len(found[1]) == 4 and len(found[4]) == 4 and len(found[99]) == 10


def test_uniform_is_uniform_and_one_frame_is_one_segment() -> None:
    assert uniform(10, 2.5).tolist() == [0, 3, 5, 8]
    one = directions(np.ones((1, 3)))
    for found in (uniform(1, 3), greedy(one, 0.5), peaks(change(one, 2), 1.0), min_cut(one, [1], 5)[1]):
        assert found.tolist() == [0]
