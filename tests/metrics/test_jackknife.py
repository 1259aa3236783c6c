"""Intervals and p-values against closed forms, their coverage with few speakers, and cases that have none."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from audiossl.core.types import Metric
from audiossl.metrics.classification import classification_metrics
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.metrics.jackknife import Estimate, difference_of, metric_of, no_intervals
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.metrics.ratios import paired_difference, score_mean, score_ratio
from audiossl.metrics.verification import Sides, verification_metrics


def bounds(metric: Metric) -> tuple[float, float]:
    assert metric.low is not None
    assert metric.high is not None
    return metric.low, metric.high


def speakers(num: int, each: int) -> Clusters:
    return clusters_of([f"s{number}" for number in np.repeat(np.arange(num), each)], num * each)


def test_of_equal_items_it_is_the_interval_of_student() -> None:
    values = np.random.default_rng(0).uniform(-1, 2, 40)  # no heavy tail: all degrees of freedom
    expected = scipy.stats.t.interval(0.95, 39, values.mean(), scipy.stats.sem(values))
    assert bounds(score_mean(values)) == pytest.approx(expected)


@pytest.mark.parametrize("num_right", [0, 20])
def test_nothing_or_everything_right_has_the_exact_interval(num_right: int) -> None:
    exact = scipy.stats.binomtest(num_right, 20).proportion_ci(method="exact")
    assert bounds(score_mean(np.arange(20) < num_right)) == pytest.approx((exact.low, exact.high))


def test_everything_right_of_few_speakers_says_less_than_of_many_items() -> None:
    low = [score_mean(np.ones(60), speakers(num, 60 // num)).low for num in (2, 6, 60)]
    assert low == sorted(low)  # type: ignore[type-var]
    assert low[0] == pytest.approx(0.025 ** (1 / (60 / (1 + 0.1 * 29))))


def test_no_error_at_all_has_an_upper_bound() -> None:
    low, high = bounds(score_ratio(np.zeros(30), np.ones(30)))
    assert (low, high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 30)))
    low, high = bounds(score_ratio(np.zeros(10), np.full(10, 8)))
    assert (low, high) == pytest.approx((0.0, -np.log(0.025) / (80 / (1 + 0.1 * 7))))


@pytest.mark.parametrize("num_speakers", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("share", [0.85, 0.97])
def test_intervals_over_few_speakers_hold_the_truth(num_speakers: int, share: float) -> None:
    """Speakers whose own shares vary: two items of one are correlated by 0.1. The bootstrap had 50 to 90 % here."""
    rng = np.random.default_rng(0)
    clusters = speakers(num_speakers, 20)
    inside = 0
    for _ in range(300):
        own = rng.beta(9 * share, 9 * (1 - share), num_speakers)[clusters.of]
        low, high = bounds(score_mean(rng.random(len(own)) < own, clusters))
        inside += low <= share <= high
    assert inside / 300 >= 0.92


@pytest.mark.parametrize("num_speakers", [3, 6, 12])
def test_equal_systems_are_seldom_told_apart(num_speakers: int) -> None:
    rng = np.random.default_rng(1)
    clusters = speakers(num_speakers, 20)
    apart, small = 0, 0
    for _ in range(400):
        tilt = 0.1 * rng.standard_normal(num_speakers)[clusters.of]
        ours, theirs = (rng.random(len(tilt)) < 0.7 + sign * tilt for sign in (1, -1))
        found = paired_difference(ours, theirs, clusters)
        apart += found.low is not None and found.high is not None and not found.low <= 0 <= found.high
        small += found.p_value is not None and found.p_value < 0.05
        assert (found.p_value is None) == (num_speakers < 6)
    assert apart / 400 <= 0.07
    assert small / 400 <= 0.07


def test_p_value_is_that_of_a_paired_t_test() -> None:
    ours, theirs = np.random.default_rng(3).uniform(size=(2, 30))
    expected = scipy.stats.ttest_rel(ours, theirs)
    found = paired_difference(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.num_clusters, found.cluster, found.remark) == (30, "item", "")


def test_no_p_value_is_smaller_than_that_of_an_exact_test() -> None:
    assert paired_difference(np.ones(8), np.zeros(8)).p_value == 2 / 2**8
    alike = paired_difference(np.ones(8), np.zeros(8), speakers(2, 4))  # all of two speakers for the first
    assert (alike.low, alike.p_value) == (None, None)
    assert "no p-value of fewer than 6 speakers" in alike.remark
    one = paired_difference(np.arange(40) < 1, np.zeros(40))  # one item of forty
    assert one.p_value == 1.0


def test_one_item_gives_a_difference_and_nothing_else() -> None:
    found = paired_difference([1], [0])
    assert found[:4] == (1.0, None, None, None)
    assert found.remark == "no interval of one item; no p-value of fewer than 6 items"


def test_systems_that_never_differ() -> None:
    right = np.arange(12) % 3 > 0
    found = paired_difference(right, right, speakers(3, 4))
    assert found[:4] == (0.0, None, None, 1.0)
    assert found.remark == "the two never differ"


@pytest.mark.parametrize(
    ("estimate", "num", "why"),
    [
        (Estimate(0.5, np.array([np.nan]), "share", 5.0), 1, "no interval of one speaker"),
        (Estimate(0.5, np.array([0.4, np.nan])), 2, "no interval: without some speaker nothing is left"),
        (Estimate(0.5, np.array([0.5, 0.5])), 2, "no interval: every speaker is like the others"),
        (Estimate(1.0, np.array([1.0, 1.0]), "share"), 2, "no interval at an end of the scale"),
        (Estimate(float("nan"), np.array([0.5, 0.5])), 2, "no interval without a value"),
        (Estimate(0.5, np.array([0.1, 0.9]), "rate"), 2, "no interval: 2 speakers are too few"),
    ],
)
def test_without_an_interval_there_is_a_word_why(estimate: Estimate, num: int, why: str) -> None:
    found = metric_of(estimate, Clusters(np.arange(num), "speaker", "a remark"))
    assert (found.low, found.high, found.num_clusters, found.cluster) == (None, None, num, "speaker")
    assert found.remark.startswith(why) and found.remark.endswith("; a remark")


def test_one_cluster_that_decides_all_makes_a_wider_interval() -> None:
    clusters = Clusters(np.arange(20), "speaker")
    even = 0.5 + 0.01 * np.where(np.arange(20) % 2, 1, -1)
    one = np.full(20, 0.5)
    one[0] += 0.01 * 20**0.5  # the same sum of squares
    wide, narrow = (np.diff(bounds(metric_of(Estimate(0.5, each), clusters)))[0] for each in (one, even))
    assert wide > 1.8 * narrow


def test_values_alone_are_those_that_come_with_intervals() -> None:
    rng = np.random.default_rng(7)
    scores, targets = rng.normal(size=(40, 3)), rng.integers(0, 2, size=(40, 3))
    labels, guesses = [str(row[0]) for row in targets], [str(row[1]) for row in targets]
    sides = Sides([f"{place % 7}" for place in range(40)], [f"{place % 5}" for place in range(40)])

    def metrics() -> dict[str, Metric]:
        return {
            "ratio": score_ratio(targets[:, 0], np.ones(40)),
            **classification_metrics(labels, guesses),
            **multilabel_metrics(targets, scores),
            **verification_metrics(scores[:, 0], targets[:, 0], sides),
        }

    full = metrics()
    with no_intervals():
        alone = metrics()
    assert alone == {name: Metric(metric.value) for name, metric in full.items()}
    assert all(metric.low is not None for metric in full.values())
    assert metrics() == full


def test_difference_is_without_the_same_clusters() -> None:
    """What is hard for both cancels out."""
    hard = np.linspace(0.1, 0.9, 10)
    first, second = Estimate(0.5, hard), Estimate(0.4, hard - 0.1 + 0.001 * np.arange(10))
    found = difference_of(first, second, Clusters(np.arange(10), "speaker"))
    assert found.low is not None
    assert 0 < found.low < 0.1


@pytest.mark.parametrize(("num_items", "num_speakers"), [(362, 8), (253, 6), (1226, 28)])
def test_one_error_among_many_items_tells_nearly_as_much_as_none(num_items: int, num_speakers: int) -> None:
    speakers = [str(number % num_speakers) for number in range(num_items)]
    lows = [score_mean(np.arange(num_items) >= wrong, speakers).low for wrong in (0, 1, 2)]
    highs = [score_mean(np.arange(num_items) < wrong, speakers).high for wrong in (0, 1, 2)]
    assert lows[0] is not None and lows[1] is not None and highs[1] is not None
    # A single error is one odd speaker, whose spread has one degree of freedom: on a logit scale, anything goes.
    assert lows[0] > lows[1] > 1 - 2 * (1 - lows[0])
    assert highs[1] == pytest.approx(1 - lows[1])
