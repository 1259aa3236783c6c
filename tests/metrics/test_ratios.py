"""Means and ratios: their values, their scales, several runs and paired error rates."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.metrics.ratios import across_seeds, paired_difference, score_mean, score_ratio


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_ratio_is_over_all_units(rng: np.random.Generator) -> None:
    words = rng.integers(1, 20, size=120)
    errors = rng.binomial(words, 0.2)
    found = score_ratio(errors, words)
    assert found.value == pytest.approx(errors.sum() / words.sum())
    # The delta method on the log scale, which the jackknife comes to for small items.
    residuals = errors - found.value * words
    half = 1.98 * np.sqrt((residuals**2).sum()) / words.sum() / found.value
    assert (found.low, found.high) == pytest.approx(tuple(found.value * np.exp([-half, half])), rel=0.05)


def test_speakers_widen_the_interval_when_their_items_agree(rng: np.random.Generator) -> None:
    speakers = [f"s{item // 20}" for item in range(200)]
    correct = np.repeat(rng.random(10) < 0.6, 20)
    by_item, by_speaker = score_mean(correct), score_mean(correct, speakers)
    assert (by_item.num_clusters, by_item.cluster) == (200, "item")
    assert (by_speaker.num_clusters, by_speaker.cluster) == (10, "speaker")
    assert by_item.value == by_speaker.value
    assert by_item.low is not None and by_item.high is not None
    assert by_speaker.low is not None and by_speaker.high is not None
    assert by_speaker.high - by_speaker.low > 2 * (by_item.high - by_item.low)


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [([0, 1, 1, 1, 1, 1], 0, 1), ([0.1, 4.0, 0.5, 1.0, 0.7, 2.0], 0, 99), ([-3.0, 2.0], -99, 99)],
)
def test_intervals_stay_where_the_figure_can_be(values: list[float], least: float, most: float) -> None:
    found = score_mean(values)
    assert found.low is not None and found.high is not None
    assert least < found.low < found.value < found.high < most


def test_one_item_has_no_interval_and_none_is_an_error() -> None:
    assert score_mean([0.5])[:4] == (0.5, None, None, 1)
    assert score_mean([0.5]).remark == "no interval of one item"
    with pytest.raises(ValueError, match="at least one item"):
        score_mean([])
    with pytest.raises(ValueError, match="above 0"):
        score_ratio([1, 1], [0, 0])


def test_across_seeds_averages_runs_over_the_same_items(rng: np.random.Generator) -> None:
    runs = rng.random((3, 80)) < 0.7
    assert across_seeds(runs).value == pytest.approx(runs.mean())
    identical = across_seeds(np.repeat(runs[:1], 5, axis=0))
    assert identical == score_mean(runs[0])  # five equal runs are not five test sets
    assert across_seeds(runs + 0.5).value == pytest.approx(runs.mean() + 0.5)
    with pytest.raises(ValueError, match=r"\(runs, items\)"):
        across_seeds(runs[0])


def test_paired_difference_is_narrower_than_the_interval_of_one(rng: np.random.Generator) -> None:
    hard = rng.random(400)
    better, worse = hard < 0.8, hard < 0.75  # the worse system fails on a superset of items
    gap = paired_difference(better, worse)
    assert gap.value == pytest.approx(better.mean() - worse.mean())
    assert gap.low is not None and gap.high is not None and gap.p_value is not None
    assert gap.low > 0 and gap.p_value < 0.01
    mirrored = paired_difference(worse, better)
    assert (mirrored.value, mirrored.p_value) == pytest.approx((-gap.value, gap.p_value))
    alone = score_mean(better)
    assert alone.low is not None and alone.high is not None
    assert gap.high - gap.low < alone.high - alone.low


def test_paired_error_rates_are_over_all_units(rng: np.random.Generator) -> None:
    words = rng.integers(1, 30, 300)
    better, worse = rng.binomial(words, 0.1), rng.binomial(words, 0.2)
    found = paired_difference(better, worse, units=words)
    assert found.value == pytest.approx(better.sum() / words.sum() - worse.sum() / words.sum())
    assert found.low is not None and found.high is not None
    assert found.low < found.value < found.high < 0
    with pytest.raises(ValueError, match="without a single unit"):
        paired_difference([0, 0], [0, 0], units=[0, 0])
    with pytest.raises(ValueError, match="same items"):
        paired_difference([1, 0], [1])
