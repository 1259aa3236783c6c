"""Intervals against scipy, coverage, clusters, paired differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from audiossl.core.types import Metric
from audiossl.metrics.bootstrap import (
    across_seeds,
    bootstrap_mean,
    bootstrap_ratio,
    cluster_of,
    no_intervals,
    paired_bootstrap,
    resampled_sums,
)
from audiossl.metrics.classification import classification_metrics
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.metrics.verification import verification_metrics


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_interval_of_a_mean_agrees_with_scipy(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=150)
    ours = bootstrap_mean(values, num_resamples=20000)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=1)
    assert ours.value == pytest.approx(values.mean())
    assert ours[1:] == pytest.approx(tuple(theirs.confidence_interval), abs=0.012)


def test_interval_of_a_ratio_agrees_with_scipy(rng: np.random.Generator) -> None:
    words = rng.integers(1, 20, size=120)
    errors = rng.binomial(words, 0.2)
    ours = bootstrap_ratio(errors, words, num_resamples=20000)
    theirs = scipy.stats.bootstrap(
        (errors, words),
        lambda e, w, axis: e.sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20000,
        method="percentile",
        rng=2,
    )
    assert ours.value == pytest.approx(errors.sum() / words.sum())
    assert ours[1:] == pytest.approx(tuple(theirs.confidence_interval), abs=0.003)


def test_values_alone_are_those_that_come_with_intervals(rng: np.random.Generator) -> None:
    scores, targets = rng.normal(size=(40, 3)), rng.integers(0, 2, size=(40, 3))
    labels, guesses = [str(row[0]) for row in targets], [str(row[1]) for row in targets]

    def metrics() -> dict[str, Metric]:
        return {
            "ratio": bootstrap_ratio(targets[:, 0], np.ones(40)),
            **classification_metrics(labels, guesses),
            **multilabel_metrics(targets, scores),
            **verification_metrics(scores[:, 0], targets[:, 0], (labels, [f"{place % 5}" for place in range(40)])),
        }

    full = metrics()
    with no_intervals():
        alone = metrics()
    assert alone == {name: Metric(metric.value) for name, metric in full.items()}
    assert all(metric.low is not None for metric in full.values())
    assert metrics() == full


def test_clusters_are_drawn_whole() -> None:
    values = np.array([[1.0], [1.0], [10.0], [100.0]])
    sums = resampled_sums(values, np.array([0, 0, 1, 2]), num_resamples=500)
    # three draws from {2, 10, 100}: the pair of the first cluster never comes apart
    possible = {a + b + c for a in (2, 10, 100) for b in (2, 10, 100) for c in (2, 10, 100)}
    assert set(sums[:, 0].tolist()) <= possible
    assert len(set(sums[:, 0].tolist())) > 5


def test_speakers_widen_the_interval_when_their_items_agree(rng: np.random.Generator) -> None:
    speakers = [f"s{item // 20}" for item in range(200)]
    correct = np.repeat(rng.random(10) < 0.6, 20)
    by_item, by_speaker = bootstrap_mean(correct), bootstrap_mean(correct, speakers)
    assert by_item.value == by_speaker.value
    assert by_item.low is not None
    assert by_item.high is not None
    assert by_speaker.low is not None
    assert by_speaker.high is not None
    assert by_speaker.high - by_speaker.low > 2 * (by_item.high - by_item.low)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, [0, 1, 2]),
        (["a", "a", "a"], [0, 1, 2]),  # one speaker says nothing about others
        (["a", None, "b"], [0, 1, 2]),
        (["b", "a", "b"], [1, 0, 1]),
    ],
)
def test_clusters_need_two_speakers_and_all_of_them_known(groups: list[str | None] | None, expected: list[int]) -> None:
    assert cluster_of(groups, 3).tolist() == expected


def test_ninety_five_percent_of_intervals_hold_the_truth() -> None:
    inside = 0
    for trial in range(300):
        metric = bootstrap_mean(np.random.default_rng(trial).random(100) < 0.7, num_resamples=500)
        assert metric.low is not None
        assert metric.high is not None
        inside += metric.low <= 0.7 <= metric.high
    assert 0.90 <= inside / 300 <= 0.98


def test_same_seed_same_interval_other_seed_another(rng: np.random.Generator) -> None:
    values = rng.random(50)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values) != bootstrap_mean(values, seed=1)


def test_one_item_has_no_interval_and_none_is_an_error() -> None:
    assert bootstrap_mean([0.5]) == (0.5, None, None)
    with pytest.raises(ValueError, match="at least one item"):
        bootstrap_mean([])


def test_paired_difference_is_narrower_than_the_two_intervals_and_has_a_sign(rng: np.random.Generator) -> None:
    hard = rng.random(400)
    better, worse = hard < 0.8, hard < 0.75  # the worse system fails on a superset of items
    gap = paired_bootstrap(better, worse)
    assert gap.value == pytest.approx(better.mean() - worse.mean())
    assert gap.low is not None
    assert gap.p_value is not None
    assert gap.low > 0
    assert gap.p_value < 0.01
    mirrored = paired_bootstrap(worse, better)
    assert mirrored.value == -gap.value
    assert mirrored.p_value == gap.p_value
    alone = bootstrap_mean(better)
    assert alone.low is not None
    assert alone.high is not None
    assert gap.high is not None
    assert gap.high - gap.low < alone.high - alone.low


def test_equal_systems_have_p_value_one(rng: np.random.Generator) -> None:
    correct = rng.random(50) < 0.5
    assert paired_bootstrap(correct, correct) == (0.0, 0.0, 0.0, 1.0)


def test_p_values_of_equally_good_systems_are_about_uniform() -> None:
    p_values = []
    for trial in range(200):
        a, b = np.random.default_rng(trial).random((2, 120)) < 0.6
        p_values.append(paired_bootstrap(a, b, num_resamples=400).p_value)
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.10


def test_paired_bootstrap_refuses_different_items() -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_bootstrap([1, 0], [1])


def test_across_seeds_averages_runs_and_draws_items_jointly(rng: np.random.Generator) -> None:
    runs = rng.random((3, 80)) < 0.7
    metric = across_seeds(runs)
    assert metric.value == pytest.approx(runs.mean())
    assert metric == bootstrap_mean(runs.mean(axis=0))
    identical = across_seeds(np.repeat(runs[:1], 5, axis=0))
    assert identical[1:] == pytest.approx(bootstrap_mean(runs[0])[1:])  # five equal runs are not five test sets


def test_paired_error_rates_are_over_all_units(rng: np.random.Generator) -> None:
    words = rng.integers(1, 30, 300)
    better, worse = rng.binomial(words, 0.1), rng.binomial(words, 0.2)
    found = paired_bootstrap(better, worse, units=words)
    assert found.value == pytest.approx(better.sum() / words.sum() - worse.sum() / words.sum())
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high < 0
    with pytest.raises(ValueError, match="without a single unit"):
        paired_bootstrap([0, 0], [0, 0], units=[0, 0])
