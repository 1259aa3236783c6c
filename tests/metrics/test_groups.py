"""The gap between groups against Welch's formula and the paired difference, and how often its interval is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.metrics.groups import gap_between
from audiossl.metrics.ratios import paired_difference


def mean_of(values: np.ndarray):
    return lambda items: float(values[items].mean())


def test_of_groups_without_a_common_speaker_it_is_the_difference_of_two_means() -> None:
    """One item a speaker: the variance is that of Welch's test, but for (G - 1) / G in place of (n - 1) / n of each."""
    values = np.random.default_rng(0).normal(size=16) + np.repeat([0.0, 2.0], 8)
    groups = {"low": np.arange(8), "high": np.arange(8, 16)}
    gap = gap_between(mean_of(values), groups, Clusters(np.arange(16), "speaker"), "max")
    assert gap and (gap.best, gap.worst, gap.num_pairs) == ("high", "low", 1)
    assert gap.difference.value == pytest.approx(values[8:].mean() - values[:8].mean())
    known = stats.ttest_ind(values[8:], values[:8], equal_var=False).confidence_interval()
    half = (known.high - known.low) / 2
    assert gap.difference.low and gap.difference.high
    assert (gap.difference.high - gap.difference.low) / 2 == pytest.approx(half, rel=0.12)


def test_of_speakers_in_both_groups_it_is_paired() -> None:
    """Speakers differ much and alike in both groups, such as two microphones."""
    rng = np.random.default_rng(1)
    voices = rng.normal(size=10) * 5
    values = np.concatenate([voices, voices + 0.5 + 0.1 * rng.normal(size=10)])
    speakers = clusters_of([f"s{number % 10}" for number in range(20)], 20)
    gap = gap_between(mean_of(values), {"a": np.arange(10), "b": np.arange(10, 20)}, speakers, "min")
    assert gap and (gap.best, gap.worst) == ("a", "b")
    known = paired_difference(values[10:], values[:10])
    assert gap.difference.low == pytest.approx(known.low)
    assert gap.difference.high == pytest.approx(known.high)


def test_best_of_many_groups_is_chosen_by_chance_and_its_interval_knows() -> None:
    """Six equal groups of eight speakers: the gap of best and worst excludes 0 in at most a twentieth of the draws."""
    groups = {str(number): np.arange(8) + 8 * number for number in range(6)}
    speakers, found = Clusters(np.arange(48), "speaker"), []
    for seed in range(150):
        values = np.random.default_rng(seed).normal(size=48)
        gap = gap_between(mean_of(values), groups, speakers, "max")
        assert gap and gap.num_pairs == 15 and gap.difference.low is not None
        found.append(gap.difference.low > 0)
    assert np.mean(found) <= 0.08


def test_groups_of_few_speakers_are_in_no_gap() -> None:
    values = np.arange(20.0)
    groups = {"a": np.arange(8), "b": np.arange(8, 15), "c": np.arange(15, 20)}
    gap = gap_between(mean_of(values), groups, Clusters(np.arange(20), "speaker"), "max")
    assert gap and gap.best == "b"
    assert gap_between(mean_of(values), {"a": groups["a"], "c": groups["c"]}, Clusters(np.arange(20)), "max") is None


def test_a_group_without_a_figure_is_in_no_gap() -> None:
    def figure(items: np.ndarray) -> float:
        if 0 in items:
            raise LabelError("nothing to score")
        return float(items.mean())

    groups = {name: np.arange(8) + 8 * number for number, name in enumerate("abc")}
    gap = gap_between(figure, groups, Clusters(np.arange(24), "speaker"), "max")
    assert gap and {gap.best, gap.worst} == {"b", "c"}
