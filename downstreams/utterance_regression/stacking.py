"""Weak learners over several encoders, stacked without leaking folds (UTMOS, Saeki et al., 2022, section 2.3).

A weak learner is a regressor of scikit-learn on the mean over time of one layer of one encoder. What the next stage
reads of a training row is predicted out of fold, by weak learners that were fitted on other speakers. Stage 2 are the
same regressors on those predictions, out of fold again, and stage 3 is a ridge regression on theirs.

Not as there: one data domain, and four regressors of their six (no LightGBM, no exact Gaussian process), whose options
are fixed and not searched by Optuna.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import ConfigError, LabelError, did_you_mean
from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Ints
from audiossl.metrics.jackknife import Difference, difference_of
from audiossl.metrics.regression import regression_estimates, regression_metrics

MOST_FOLDS = 5
SEED = 0
_ALPHAS = tuple(10.0**power for power in range(-2, 5))


def _ridge() -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=_ALPHAS)


def _linear_svr() -> Any:
    from sklearn.svm import SVR

    return SVR(kernel="linear", C=0.01)


def _svr() -> Any:
    from sklearn.svm import SVR

    return SVR(C=1.0)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(200, max_features=0.3, min_samples_leaf=2, random_state=SEED)


REGRESSORS: Mapping[str, Callable[[], Any]] = {
    "ridge": _ridge,
    "linear_svr": _linear_svr,
    "svr": _svr,
    "forest": _forest,
}


class Rows(NamedTuple):
    """Recordings of a split.

    vectors: (N, D) of each encoder, by its name.
    targets: (N,).
    clusters: whose rows are never on both sides of a fold.
    """

    vectors: Mapping[str, Floats]
    targets: Floats
    clusters: Clusters


class Stacked(NamedTuple):
    """What a stack gives on a test set.

    predicted: (N,).
    metrics: of these.
    learners: metrics of each weak learner by itself, by '<encoder> <regressor>'.
    differences: mean absolute error of the stack minus that of each learner, paired.
    """

    predicted: Floats
    metrics: dict[str, Metric]
    learners: dict[str, dict[str, Metric]]
    differences: dict[str, Difference]


def stacked(train: Rows, test: Rows, regressors: Sequence[str] = tuple(REGRESSORS)) -> Stacked:
    """Fit on train, predict test.

    train, test: of the same encoders.
    regressors: names of `REGRESSORS`.
    Raises ConfigError for an unknown regressor, LabelError where there are too few groups for folds or equal targets.
    """
    for name in regressors:
        if name not in REGRESSORS:
            raise ConfigError(f"There is no regressor named {name!r}. {did_you_mean(name, REGRESSORS)}")
    if np.ptp(train.targets) == 0:
        raise LabelError(
            f"All {len(train.targets)} training rows have the number {train.targets[0]:g}; nothing to fit."
        )
    folds = folds_of(train.clusters)
    inputs = [_joined(rows.vectors) for rows in (train, test)]
    stack = _stack(_slices(train.vectors), regressors, folds).fit(inputs[0], train.targets)
    predicted: Floats = stack.predict(inputs[1])
    learners = {name: made.predict(inputs[1]) for name, made in stack.named_estimators_.items()}
    ours = regression_estimates(test.targets, predicted, test.clusters)["mae"]
    theirs = {name: regression_estimates(test.targets, said, test.clusters)["mae"] for name, said in learners.items()}
    return Stacked(
        predicted,
        regression_metrics(test.targets, predicted, test.clusters),
        {name: regression_metrics(test.targets, said, test.clusters) for name, said in learners.items()},
        {name: difference_of(ours, each, test.clusters) for name, each in theirs.items()},
    )


def folds_of(clusters: Clusters) -> list[tuple[Ints, Ints]]:
    """(training rows, held-out rows) of at most five folds of whole clusters. Raises LabelError for fewer than two."""
    from sklearn.model_selection import GroupKFold

    if clusters.num < 2:
        raise LabelError("The training rows are of one speaker, so that no fold holds another one out; add speakers.")
    places = np.zeros(len(clusters.of))
    return list(GroupKFold(min(MOST_FOLDS, clusters.num)).split(places, groups=clusters.of))


def _stack(slices: Mapping[str, slice], regressors: Sequence[str], folds: Sequence[tuple[Ints, Ints]]) -> Any:
    """The three stages. A learner is fitted on each fold for what the next stage reads, and on all rows for others."""
    from sklearn.ensemble import StackingRegressor

    second = StackingRegressor(list(_scaled(regressors)), _ridge(), cv=folds)
    return StackingRegressor(list(_weak(slices, regressors)), second, cv=folds)


def _weak(slices: Mapping[str, slice], regressors: Sequence[str]) -> Iterator[tuple[str, Any]]:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for encoder, columns in slices.items():
        for name in regressors:
            of_encoder = ColumnTransformer([("own", StandardScaler(), columns)])
            yield f"{encoder} {name}", make_pipeline(of_encoder, REGRESSORS[name]())


def _scaled(regressors: Sequence[str]) -> Iterator[tuple[str, Any]]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for name in regressors:
        yield name, make_pipeline(StandardScaler(), REGRESSORS[name]())


def _slices(vectors: Mapping[str, Floats]) -> dict[str, slice]:
    found, start = {}, 0
    for name, each in vectors.items():
        found[name] = slice(start, start + each.shape[1])
        start += each.shape[1]
    return found


def _joined(vectors: Mapping[str, Floats]) -> Floats:
    """(N, sum of widths)."""
    return np.concatenate(list(vectors.values()), axis=1)
