"""Term-weighted values and cross entropies worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audiossl.metrics.calibration import Calibration, fit_calibration
from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.jackknife import no_intervals
from audiossl.metrics.term_detection import Searches, TermCosts, atwv, best_threshold, cnxe, costs_at, mtwv

# beta = 1 * 0.5 / (1 * 0.5) = 1: a false alarm rate weighs as much as a miss rate.
EVEN = TermCosts(prior=0.5, miss=1.0, false_alarm=1.0)
SCORES = np.array([[0.9, 0.7, 0.4, 0.1], [0.8, 0.6, 0.5, 0.2]])
PRESENT = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], dtype=bool)
WORKED = Searches(SCORES, PRESENT)


def by_hand(threshold: float) -> float:
    """1 - the mean over both queries of misses among those with it and alarms among the others."""
    values = []
    for scores, present in zip(SCORES, PRESENT, strict=True):
        misses = sum(s < threshold and p for s, p in zip(scores, present, strict=True)) / present.sum()
        alarms = sum(s >= threshold and not p for s, p in zip(scores, present, strict=True)) / (~present).sum()
        values.append(1 - misses - alarms)
    return float(np.mean(values))


def test_a_false_alarm_of_quesst_weighs_12_49_misses() -> None:
    assert TermCosts().beta == pytest.approx(12.49)


def test_mtwv_is_the_highest_of_all_thresholds() -> None:
    """At 0.6: 1st query 1 of 2 found and 1 of 2 alarms, 1 - 1/2 - 1/2 = 0. 2nd: found, 1 of 3 alarms, 2/3. Mean 1/3.

    At 0.9: 1/2 and 0, mean 1/4. At 0.4: 1st 1 - 1/2, 2nd 1 - 2/3, mean 5/12, the highest.
    """
    assert [by_hand(t) for t in (0.6, 0.9, 0.4)] == pytest.approx([1 / 3, 1 / 4, 5 / 12])
    best = best_threshold(WORKED, EVEN)
    assert best.value == pytest.approx(5 / 12)
    assert best.threshold == 0.4
    assert best.value == pytest.approx(max(by_hand(t) for t in SCORES.ravel()))
    with no_intervals():
        assert mtwv(WORKED, clusters_of(None, 2), EVEN).value == best.value


def test_where_every_detection_costs_more_than_it_gains_nothing_is_detected() -> None:
    wrong = Searches(np.array([[1.0, 2.0]]), np.array([[True, False]]))
    assert best_threshold(wrong) == (0.0, math.inf)


def test_equal_scores_are_detected_together() -> None:
    tied = Searches(np.array([[1.0, 1.0]]), np.array([[True, False]]))
    assert best_threshold(tied, EVEN).value == 0.0


def test_a_query_that_is_nowhere_does_not_count_as_missed() -> None:
    more = Searches(np.vstack([SCORES, [5, 5, 5, 5]]), np.vstack([PRESENT, np.zeros(4, bool)]))
    assert best_threshold(more, EVEN) == best_threshold(WORKED, EVEN)
    assert mtwv(more, clusters_of(["a", "b", "c"], 3), EVEN).num_clusters == 2
    with pytest.raises(ValueError, match="in some of the documents"):
        best_threshold(more.of(np.array([False, False, True])))


def test_atwv_is_the_value_at_a_threshold() -> None:
    assert costs_at(WORKED, 0.6, EVEN).tolist() == pytest.approx([1.0, 1 / 3])
    assert atwv(WORKED, 0.6, clusters_of(None, 2), EVEN).value == pytest.approx(1 / 3)


def test_the_interval_is_that_of_leaving_out_queries() -> None:
    rng = np.random.default_rng(0)
    present = rng.random((30, 20)) < 0.2
    searches = Searches(rng.standard_normal((30, 20)) + 2 * present, present)
    groups = [f"word {n // 3}" for n in range(30)]
    found = mtwv(searches, clusters_of(groups, 30, "term"), EVEN)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.num_clusters == 10
    moved = [best_threshold(searches.of(np.arange(30) // 3 != n), EVEN).value for n in range(10)]
    variance = 9 / 10 * sum((value - found.value) ** 2 for value in moved)
    assert found.high - found.low >= 2 * 1.96 * variance**0.5  # Student's quantile is the wider one


def test_cnxe_by_hand() -> None:
    """At the prior 1/2 the reference is a bit. Ratios of 3 to 1 for what is there, and 1 to 3 for what is not."""
    searches = Searches(np.where(PRESENT, 1.0, -1.0), PRESENT)
    known = cnxe(searches, Calibration(math.log(3), 0.0), clusters_of(None, 2), EVEN)
    assert known.value == pytest.approx(-math.log2(3 / 4))
    nothing = cnxe(searches, Calibration(0.0, 0.0), clusters_of(None, 2))
    assert nothing.value == pytest.approx(1.0)


def test_calibration_at_a_prior_has_the_least_cross_entropy_there() -> None:
    rng = np.random.default_rng(1)
    present = rng.random((40, 50)) < 0.1
    searches, costs = Searches(rng.standard_normal((40, 50)) + 2 * present, present), TermCosts(prior=0.01)
    fitted = fit_calibration(searches.scores.ravel(), present.ravel(), costs.prior)
    clusters = clusters_of(None, 40)
    least = cnxe(searches, fitted, clusters, costs).value
    for scale, offset in ((1.1, 0.0), (0.9, 0.0), (1.0, 0.2), (1.0, -0.2)):
        other = Calibration(fitted.scale * scale, fitted.offset + offset)
        assert cnxe(searches, other, clusters, costs).value > least - 1e-4
    assert least < 1
