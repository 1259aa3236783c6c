"""Ranks, wins and corrected p-values against values by hand, and by how often they hold what is true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, difference_of, metric_of
from audiossl.metrics.rankings import (
    Contest,
    contest_of,
    contest_of_intervals,
    holm,
    mean_scores,
    rank_systems,
    reference_score,
)
from audiossl.metrics.ratios import ratio_estimate


def clusters(num: int) -> Clusters:
    return Clusters(np.arange(num))


def real(values: Floats) -> Estimate:
    """The mean of (G,) values of clusters."""
    return Estimate(float(values.mean()), (values.sum() - values) / (len(values) - 1))


def right(shares: list[float], num: int = 60, seed: int = 0) -> Contest:
    """Systems that are right on a share of the items each, hard items being hard for all."""
    hardness = np.random.default_rng(seed).uniform(size=num)
    found = [ratio_estimate(hardness < share, np.ones(num), clusters(num)) for share in shares]
    return contest_of(found, clusters(num))


def test_draws_have_the_spread_of_the_interval_and_the_correlation_of_the_items() -> None:
    values = np.random.default_rng(0).standard_normal((2, 40))
    values[1] += 2 * values[0]
    drawn = contest_of([real(row) for row in values], clusters(40)).draws(20_000)
    for place, row in enumerate(values):
        metric = metric_of(real(row), clusters(40))
        assert np.quantile(drawn[:, place], [0.025, 0.975]) == pytest.approx([metric.low, metric.high], abs=0.03)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(np.corrcoef(values)[0, 1], abs=0.02)
    # The spread of a difference is that of a paired test.
    paired = difference_of(real(values[0]), real(values[1]), clusters(40))
    assert paired.low is not None
    assert np.quantile(drawn[:, 0] - drawn[:, 1], 0.025) == pytest.approx(paired.low, abs=0.06)


def test_one_cluster_that_decides_all_makes_no_endless_tails() -> None:
    """Nearly one degree of freedom: the interval stays as long as it is, and few draws are far beyond it."""
    right = np.ones(600)
    right[:30] = 0  # of a single one of 20 speakers
    speakers = Clusters(np.arange(600) // 30, "speaker")
    estimate = ratio_estimate(right, np.ones(600), speakers)
    metric = metric_of(estimate, speakers)
    assert metric.low is not None and metric.high is not None
    drawn = contest_of([estimate], speakers).draws(20_000)[:, 0]
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([metric.low, metric.high], rel=0.05)
    middle, low = (np.log(value / (1 - value)) for value in (metric.value, metric.low))
    assert (np.log(drawn / (1 - drawn)) < middle - 3 * (middle - low)).mean() < 0.001


@pytest.mark.parametrize("shares", [[0.5, 1.0], [0.0, 0.3], [0.0, 1.0]])
def test_shares_at_the_ends_of_the_scale_still_vary(shares: list[float]) -> None:
    drawn = right(shares).draws(2000)
    assert np.isfinite(drawn).all() and ((drawn >= 0) & (drawn <= 1)).all()
    for place, share in enumerate(shares):
        count = round(60 * share)
        if count in (0, 60):  # as far as the exact interval
            exact = scipy.stats.binomtest(count, 60).proportion_ci(method="exact")
            side = (exact.low, 0.025) if count else (exact.high, 0.975)
            assert np.quantile(drawn[:, place], side[1]) == pytest.approx(side[0], abs=0.01)


def test_equal_systems_tie_in_every_draw() -> None:
    ranked = rank_systems([right([0.7, 0.7, 0.2], seed=seed) for seed in range(4)])
    assert ranked.mean_rank.tolist() == [1.5, 1.5, 3.0]
    assert ranked.wins[0, 1] == ranked.wins[1, 0] == 0.5
    assert ranked.wins[0, 2] > 0.95
    assert np.allclose(ranked.wins + ranked.wins.T, 1.0)


def test_the_lowest_rate_is_the_best() -> None:
    errors = np.random.default_rng(0).poisson([[1.0], [3.0]], size=(2, 50)).astype(float)
    found = [ratio_estimate(row, np.full(50, 10.0), clusters(50)) for row in errors]
    ranked = rank_systems([contest_of(found, clusters(50), lower_is_better=True)] * 3)
    assert ranked.mean_rank.tolist() == [1.0, 2.0]
    assert ranked.wins[0, 1] > 0.99


def test_some_systems_of_a_contest_are_what_they_were() -> None:
    whole = right([0.5, 1.0, 0.9])
    part = whole.only([2, 1])
    assert part.values.tolist() == [whole.values[2], 1.0]
    assert part.draws(4000)[:, 0].std() == pytest.approx(whole.draws(4000)[:, 2].std(), rel=0.1)


def test_a_third_system_changes_no_win() -> None:
    seeds = range(5)
    two = rank_systems([right([0.6, 0.65], seed=seed) for seed in seeds], num_draws=8000)
    three = rank_systems([right([0.6, 0.65, 0.62], seed=seed) for seed in seeds], num_draws=8000)
    assert two.wins[0, 1] == pytest.approx(three.wins[0, 1], abs=0.03)


@pytest.mark.parametrize("num", [1, 2])
def test_few_tasks_give_no_interval(num: int) -> None:
    ranked = rank_systems([right([0.6, 0.7])] * num)
    assert ranked.low is None and ranked.high is None and ranked.num_tasks == num


def test_a_single_task_wins_as_often_as_its_draws_say() -> None:
    contest = right([0.5, 0.6])
    drawn = contest.draws(4000, seed=1)
    assert rank_systems([contest]).wins[1, 0] == pytest.approx((drawn[:, 1] > drawn[:, 0]).mean())


def test_no_task_ranks_nothing() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        rank_systems([])


def test_intervals_alone_make_a_contest_of_systems_that_move_by_themselves() -> None:
    made = contest_of_intervals([Metric(0.5, 0.4, 0.6), Metric(0.8, 0.7, 0.87), Metric(0.3)], "share")
    drawn = made.draws(20_000)
    assert np.quantile(drawn[:, 0], [0.025, 0.975]) == pytest.approx([0.4, 0.6], abs=0.005)
    assert abs(np.corrcoef(drawn[:, :2].T)[0, 1]) < 0.03
    assert np.allclose(drawn[:, 2], 0.3)


def test_the_score_is_the_mean_over_tasks_on_the_scale_of_the_references() -> None:
    assert reference_score([0.82, 0.03], 0.82, 0.03).tolist() == [0.0, 1000.0]  # the highest error rate counts as 0
    first, second = mean_scores([right([0.5, 0.9]), right([0.7, 0.8])], [(0.1, 1.0), (0.5, 1.0)])
    figures = [right(shares).values for shares in ([0.5, 0.9], [0.7, 0.8])]
    assert first.value == pytest.approx(500 * ((figures[0][0] - 0.1) / 0.9 + (figures[1][0] - 0.5) / 0.5))
    assert first.low is not None and first.high is not None and first.low < first.value < first.high
    assert second.value > first.value


def test_holm_is_the_step_down_of_bonferroni() -> None:
    assert holm([0.04, 0.01]) == [0.04, 0.02]
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == [] and holm([None]) == [None]
    values = np.random.default_rng(0).uniform(size=9)
    by_hand = {p: min(1.0, max(p2 * (9 - n) for n, p2 in enumerate(sorted(values)) if p2 <= p)) for p in values}
    assert holm(values.tolist()) == pytest.approx([by_hand[p] for p in values])


def suite(generator: np.random.Generator, truth: Floats, noise: float, num_clusters: int = 10) -> list[list[Estimate]]:
    """Estimates of U systems on T tasks. Half of the noise is that of items which are hard for all.

    truth: (T, U).
    """
    made = []
    for figures in truth:
        own, shared = generator.standard_normal((len(figures), num_clusters)), generator.standard_normal(num_clusters)
        values = figures[:, None] + noise * np.sqrt(num_clusters / 2) * (own + shared)
        made.append([real(row) for row in values])
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "spread", "num_tasks"), [(0.3, 1.0, 3), (0.3, 1.0, 8), (1.0, 1.0, 5), (0.5, 0.1, 5)])
def test_the_interval_of_a_mean_rank_holds_the_truth(noise: float, spread: float, num_tasks: int) -> None:
    generator, quality, num_suites = np.random.default_rng(0), np.arange(4.0), 200
    many = quality + spread * generator.standard_normal((20_000, 4))
    truth = scipy.stats.rankdata(-many, axis=1).mean(axis=0)
    held = np.zeros(4)
    for number in range(num_suites):
        figures = quality + spread * generator.standard_normal((num_tasks, 4))
        contests = [contest_of(found, clusters(10)) for found in suite(generator, figures, noise)]
        ranked = rank_systems(contests, num_draws=500, seed=number)
        assert ranked.low is not None and ranked.high is not None
        held += (ranked.low - 1e-9 <= truth) & (truth <= ranked.high + 1e-9)
    assert (held / num_suites).min() > 0.90
    assert (held / num_suites).mean() > 0.92


@pytest.mark.slow
def test_equal_systems_seldom_seem_to_differ() -> None:
    """In at most 5 of 100 suites without any difference, one pair on one task passes Holm's correction."""
    generator, false = np.random.default_rng(1), 0
    for _ in range(400):
        p_values = [
            difference_of(one, other, clusters(12)).p_value
            for found in suite(generator, np.zeros((5, 4)), 1.0, 12)
            for one, other in itertools.combinations(found, 2)
        ]
        corrected = [p for p in holm(p_values) if p is not None]
        assert len(corrected) == 30
        false += min(corrected) < 0.05
    assert false / 400 <= 0.05


@pytest.mark.slow
def test_what_wins_the_draws_wins_other_suites() -> None:
    """Of pairs that win about nine of ten draws, the better one in truth is the one that wins them."""
    generator, kept = np.random.default_rng(2), []
    for number in range(300):
        quality = generator.standard_normal(2)
        figures = quality + 0.5 * generator.standard_normal((7, 2))
        contests = [contest_of(found, clusters(10)) for found in suite(generator, figures, 0.7)]
        chance = rank_systems(contests, num_draws=500, seed=number).wins[0, 1]
        if 0.8 < max(chance, 1 - chance) < 0.97:
            kept.append((chance > 0.5) == (quality[0] > quality[1]))
    assert len(kept) > 40
    assert np.mean(kept) > 0.75
