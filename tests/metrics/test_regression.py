"""Figures of numbers: against scipy, scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.regression import (
    metric_of_figure,
    regression_estimates,
    regression_metrics,
    system_means,
    system_metrics,
)


def drawn(num_items: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    targets = 100 + rng.standard_normal(num_items)
    return targets, 0.6 * targets + 40.3 + 0.5 * rng.standard_normal(num_items), [f"s{i % 8}" for i in range(num_items)]


def ccc(y: np.ndarray, x: np.ndarray) -> float:
    return float(2 * np.cov(y, x, ddof=0)[0, 1] / (y.var() + x.var() + (y.mean() - x.mean()) ** 2))


def test_they_are_those_of_scipy_and_scikit_learn() -> None:
    targets, predicted, groups = drawn()
    targets[:10] = targets[0]  # ties
    found = regression_metrics(targets, predicted, groups)
    assert list(found) == ["ccc", "pearson", "spearman", "rmse", "mae"]
    assert found["pearson"].value == pytest.approx(stats.pearsonr(targets, predicted).statistic)
    assert found["spearman"].value == pytest.approx(stats.spearmanr(targets, predicted).statistic)
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(targets, predicted))
    assert found["mae"].value == pytest.approx(mean_absolute_error(targets, predicted))
    assert found["ccc"].value == pytest.approx(ccc(targets, predicted))
    for metric in found.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < metric.value < metric.high
        assert (metric.num_clusters, metric.cluster) == (8, "speaker")


def test_ccc_by_hand() -> None:
    """Targets 1, 2, 3 and predictions 2, 3, 4: cov = var = 2/3, the means are 1 apart: (4/3) / (7/3)."""
    found = regression_metrics([1, 2, 3], [2, 3, 4])
    assert found["ccc"].value == pytest.approx(4 / 7)
    assert found["pearson"].value == pytest.approx(1)
    assert (found["rmse"].value, found["mae"].value) == (pytest.approx(1), pytest.approx(1))


def test_without_a_cluster_is_what_the_others_give() -> None:
    targets, predicted, groups = drawn(60)
    clusters = Clusters(np.array([int(group[1]) for group in groups]), "speaker")
    found = regression_estimates(targets, predicted, clusters)
    for number in range(8):
        kept = clusters.of != number
        assert found["ccc"].without[number] == pytest.approx(ccc(targets[kept], predicted[kept]))
        rank = stats.spearmanr(targets[kept], predicted[kept]).statistic
        assert found["spearman"].without[number] == pytest.approx(rank)
        assert found["rmse"].without[number] == pytest.approx(root_mean_squared_error(targets[kept], predicted[kept]))


def test_the_interval_of_a_correlation_is_fishers_where_items_are_independent() -> None:
    rng = np.random.default_rng(1)
    both = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=2000)
    found = regression_metrics(both[:, 0], both[:, 1])["pearson"]
    expected = stats.pearsonr(both[:, 0], both[:, 1]).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)
    few = regression_metrics(both[:6, 0], both[:6, 1])["pearson"]
    assert few.low is None or -1 <= few.low <= few.high <= 1  # type: ignore[operator]


def test_equal_targets_have_errors_alone_and_a_word_why() -> None:
    found = regression_metrics([3, 3, 3], [1, 2, 3], ["a", "b", "c"])
    assert list(found) == ["rmse", "mae"]
    assert "all targets are equal" in found["mae"].remark
    assert found["mae"].value == pytest.approx(1)


def test_equal_predictions_tell_nothing() -> None:
    found = regression_metrics([1, 2, 3], [2, 2, 2])
    assert [found[name].value for name in ("ccc", "pearson", "spearman")] == [0, 0, 0]
    far = regression_metrics([1e6 + 1, 1e6 + 2, 1e6 + 3], [1e6 + 0.1] * 3)
    assert far["pearson"].value == 0


def test_one_item_has_an_error_and_no_interval() -> None:
    found = regression_metrics([3.0], [2.5])
    assert (found["mae"].value, found["mae"].low) == (0.5, None)
    assert "ccc" not in found


@pytest.mark.parametrize(("targets", "predicted"), [([], []), ([1, 2], [1]), ([1, np.nan], [1, 2])])
def test_what_cannot_be_compared(targets: list[float], predicted: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be|finite"):
        regression_metrics(targets, predicted)


def test_systems_are_compared_by_their_means() -> None:
    targets, predicted, systems = [1, 3, 4, 6, 9, 9], [2, 2, 7, 3, 5, 9], ["a", "a", "b", "b", "c", "c"]
    true, said, names = system_means(targets, predicted, systems)
    assert (true.tolist(), said.tolist(), names) == ([2, 5, 9], [2, 5, 7], ["a", "b", "c"])
    found = system_metrics(targets, predicted, systems)
    assert found["system_spearman"].value == pytest.approx(1)
    assert found["system_pearson"].value == pytest.approx(stats.pearsonr([2, 5, 9], [2, 5, 7]).statistic)
    assert found["system_rmse"].value == pytest.approx((4 / 3) ** 0.5)
    assert found["system_rmse"].cluster == "system"
    assert system_metrics([1, 2], [1, 2], ["a", "b"]) == {}


def test_an_error_stays_above_zero_and_a_correlation_on_its_scale() -> None:
    targets, predicted, groups = drawn(40, seed=3)
    clusters = Clusters(np.array([int(group[1]) for group in groups]), "speaker")
    found = regression_estimates(targets, predicted, clusters)
    assert metric_of_figure("mae", found["mae"], clusters).low > 0  # type: ignore[operator]
    assert metric_of_figure("system_ccc", found["ccc"], clusters).high < 1  # type: ignore[operator]
