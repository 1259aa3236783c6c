"""How near predicted numbers are to true ones: CCC, correlations, RMSE and MAE, with intervals.

The concordance correlation coefficient (Lin, 1989) is 2 cov / (var + var + (difference of means)^2). It is Pearson's
correlation where the predictions have the mean and the spread of the targets, and less elsewhere. All moments are those
of N items, without a correction.

Intervals are those of the jackknife over clusters. Those of correlations are made on Fisher's z scale, so that they
stay between -1 and 1.

System-level figures are those of the means of each system (a synthesiser, a degradation), over systems.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, clusters_of
from audiossl.metrics.jackknife import Estimate, correlation_metric, metric_of

CORRELATIONS = ("ccc", "pearson", "spearman")  # of no unit, and undefined where all targets are equal
ERRORS = ("rmse", "mae")
FEWEST_SYSTEMS = 3


def regression_estimates(targets: ArrayLike, predicted: ArrayLike, clusters: Clusters) -> dict[str, Estimate]:
    """`ccc`, `pearson`, `spearman`, `rmse` and `mae`, with what each of them is without each cluster.

    targets, predicted: (N,).
    clusters: of the items.
    Correlations are left out where all targets are equal. Those of equal predictions are 0: they tell nothing.
    Raises ValueError for no items, another number of predictions, and for what is not finite.
    """
    y, x = np.asarray(targets, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1 or not len(y):
        raise ValueError(f"{x.shape} predictions for {y.shape} targets; there must be one for each, and at least one.")
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise ValueError("Targets and predictions must be finite.")
    found: dict[str, Estimate] = {}
    middle = y.mean()  # moments of numbers far from 0 lose digits
    y, x = y - middle, x - middle
    if np.ptp(y) > 0:
        found |= _correlations(y, x, clusters)
        found["spearman"] = _spearman(y, x, clusters)
    errors = x - y
    totals = np.stack([np.ones_like(y), errors**2, np.abs(errors)], axis=1)
    count, squares, sizes = _with_all(totals, clusters).T
    with np.errstate(divide="ignore", invalid="ignore"):
        rmse, mae = np.sqrt(np.maximum(squares, 0) / count), np.maximum(sizes, 0) / count
    # Without its only cluster a figure is of no items.
    found["rmse"], found["mae"] = (_estimate(np.where(count > 0.5, each, np.nan), "rate") for each in (rmse, mae))
    return found


def regression_metrics(targets: ArrayLike, predicted: ArrayLike, groups: Groups = None) -> dict[str, Metric]:
    """The same, with 95 % intervals.

    groups: (N,) what varies as a whole (see `clusters_of`).
    """
    clusters = clusters_of(groups, len(np.asarray(targets)))
    found = regression_estimates(targets, predicted, clusters)
    undefined = "" if "ccc" in found else "CCC and correlations are undefined, for all targets are equal"
    noted = clusters._replace(remark="; ".join(filter(None, [clusters.remark, undefined])))
    return {name: metric_of_figure(name, each, noted) for name, each in found.items()}


def metric_of_figure(name: str, estimate: Estimate, clusters: Clusters) -> Metric:
    """A figure of `regression_estimates` with its interval, by its name."""
    if name.removeprefix("system_") not in CORRELATIONS:
        return metric_of(estimate, clusters)
    return correlation_metric(estimate, clusters)


def system_means(
    targets: Sequence[float], predicted: Sequence[float], systems: Sequence[str]
) -> tuple[Floats, Floats, list[str]]:
    """Mean target and mean prediction of each system, and the names, sorted.

    targets, predicted: (N,).
    systems: (N,) of the items.
    """
    names, place = np.unique(np.asarray(systems, dtype=str), return_inverse=True)
    sizes = np.bincount(place)
    means = (np.bincount(place, weights=np.asarray(each, dtype=np.float64)) / sizes for each in (targets, predicted))
    return next(means), next(means), [str(name) for name in names]


def system_metrics(targets: Sequence[float], predicted: Sequence[float], systems: Sequence[str]) -> dict[str, Metric]:
    """`system_ccc`, ... of the means of systems, with intervals over systems. Nothing for fewer than three of them."""
    true, said, names = system_means(targets, predicted, systems)
    if len(names) < FEWEST_SYSTEMS:
        return {}
    clusters = Clusters(np.arange(len(names)), "system")
    found = regression_estimates(true, said, clusters)
    return {f"system_{name}": metric_of_figure(name, each, clusters) for name, each in found.items()}


def _correlations(y: Floats, x: Floats, clusters: Clusters) -> dict[str, Estimate]:
    moments = _with_all(np.stack([np.ones_like(y), y, x, y * y, x * x, y * x], axis=1), clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_y, mean_x, mean_yy, mean_xx, mean_yx = (moments[:, 1:] / moments[:, :1]).T
        var_y, var_x, cov = mean_yy - mean_y**2, mean_xx - mean_x**2, mean_yx - mean_y * mean_x
        # What rounding leaves of a variance of 0 is none.
        is_flat_y, is_flat_x = var_y <= 1e-12 * mean_yy, var_x <= 1e-12 * mean_xx
        ccc = 2 * cov / (var_y + var_x + (mean_y - mean_x) ** 2)
        pearson = np.where(is_flat_x, 0.0, cov / np.sqrt(var_y * var_x)).clip(-1, 1)
    nothing = is_flat_y | (moments[:, 0] < 0.5) | ~np.isfinite(var_y)
    kept = {"ccc": np.where(is_flat_x, 0.0, ccc), "pearson": pearson}
    return {name: _estimate(np.where(nothing, np.nan, each)) for name, each in kept.items()}


def _spearman(y: Floats, x: Floats, clusters: Clusters) -> Estimate:
    """Ranks change with every cluster that is left out. Many clusters are therefore left out in groups."""
    groups = clusters.merged()
    whole = _rank_correlation(y, x)
    left_out = (groups.of != number for number in range(groups.num))
    return Estimate(whole, np.array([_rank_correlation(y[kept], x[kept]) for kept in left_out]))


def _rank_correlation(y: Floats, x: Floats) -> float:
    if len(y) < 2 or np.ptp(y) == 0:
        return float("nan")
    if np.ptp(x) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(y), rankdata(x))[0, 1])


def _with_all(values: Floats, clusters: Clusters) -> Floats:
    """(1 + G, K) sums over all items, then without each cluster, of values (N, K)."""
    total, parts = values.sum(axis=0), clusters.sums(values)
    return np.concatenate([total[None], total - parts])


def _estimate(figures: Floats, scale: str = "real") -> Estimate:
    return Estimate(float(figures[0]), figures[1:], scale)  # type: ignore[arg-type]
