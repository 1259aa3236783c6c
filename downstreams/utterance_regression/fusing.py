"""Predicted numbers of several runs as one: their mean, or weights that are better on rows they were not fitted on.

Weights are a ridge regression (scikit-learn) on what the runs predict of dev. Whether they are taken is decided by
predictions of dev out of fold, of folds of whole speakers: a row is never judged by weights that were fitted on its
speaker. A tie goes to the mean, which has nothing to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiossl.core.errors import AudiosslError
from audiossl.core.types import Metric
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.jackknife import Difference, difference_of
from audiossl.metrics.regression import regression_estimates, regression_metrics
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse, check_same_items
from audiossl.training.task import Prediction

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
MOST_FOLDS = 5
FEWEST_ROWS = 10  # of dev, below which nothing is fitted


def fuse_numbers(runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
    """One prediction of each number by R runs.

    weights: 'dev' for those that are better on held-out rows of dev, if there are such, or 'equal' for the mean.
    Raises AudiosslError where the runs predicted other rows, or other columns.
    """
    # Without rows of dev there is nothing to fit, and the mean is what is left.
    dev, test = [run.dev if weights == "dev" else [] for run in runs], [run.test for run in runs]
    for split in (dev, test):
        check_same_items(split)
    names = list(test[0][0]["predicted"])
    if any(list(rows[0]["predicted"]) != names for rows in (*dev, *test) if rows):
        raise AudiosslError(f"The runs predict other columns than {', '.join(names)}; fuse runs of the same columns.")
    values, facts = {}, {}
    for name in names:
        values[name], facts[name] = fused_column(name, dev, test)
    rows = [_row(row, {name: float(values[name][n]) for name in names}) for n, row in enumerate(test[0])]
    return Fused(rows, _metrics(names, rows), *_compared(names, rows, test), {"columns": facts})


def fused_column(
    name: str, dev: Sequence[Sequence[Prediction]], test: Sequence[Sequence[Prediction]]
) -> tuple[Floats, dict[str, Any]]:
    """(N,) fused predictions of a column, and what was fitted.

    name: of the column.
    dev: predictions of each run, by which weights are fitted. Empty ones for the mean.
    test: those that become one.
    """
    from sklearn.linear_model import RidgeCV

    places = [n for n, row in enumerate(dev[0]) if row["target"] and row["target"][name] is not None]
    known = [[rows[n] for n in places] for rows in dev]
    inputs, outputs = _columns(name, known), _columns(name, test)
    targets = np.array([row["target"][name] for row in known[0]], dtype=np.float64)
    mean = outputs.mean(axis=1)
    groups = clusters_of_rows(known[0]).of if known[0] else np.zeros(0, dtype=np.int64)
    if len(targets) < FEWEST_ROWS or len(set(groups.tolist())) < 2:
        why = f"dev has {len(targets)} rows, too few for weights" if any(dev) else "as asked for"
        return mean, {"kind": "mean", "why": why}
    errors = {
        "mean": float(np.mean((inputs.mean(axis=1) - targets) ** 2) ** 0.5),
        "weights": float(np.mean((_out_of_fold(inputs, targets, groups) - targets) ** 2) ** 0.5),
    }
    told: dict[str, Any] = {"rmse_out_of_fold": {key: round(value, 6) for key, value in errors.items()}}
    if errors["mean"] <= errors["weights"]:
        return mean, {"kind": "mean", **told}
    scale = inputs.std() or 1.0
    made = RidgeCV(alphas=ALPHAS).fit(inputs / scale, targets)
    fused: Floats = made.predict(outputs / scale)
    return fused, {
        "kind": "weights",
        "weights": [round(float(each), 6) for each in made.coef_ / scale],
        "offset": round(float(made.intercept_), 6),
        **told,
    }


def _out_of_fold(inputs: Floats, targets: Floats, groups: Any) -> Floats:
    """(N,) predictions of each row by weights of other groups."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = GroupKFold(min(MOST_FOLDS, len(set(groups.tolist()))))
    scale = inputs.std() or 1.0
    found: Floats = cross_val_predict(RidgeCV(alphas=ALPHAS), inputs / scale, targets, groups=groups, cv=folds)
    return found


def _columns(name: str, runs: Sequence[Sequence[Prediction]]) -> Floats:
    """(N, R)."""
    return np.array([[row["predicted"][name] for row in rows] for rows in runs], dtype=np.float64).T


def _row(row: Prediction, predicted: dict[str, float]) -> Prediction:
    kept: Prediction = {
        key: row[key] for key in ("id", "target", "speaker", "group", "system", "duration_s") if key in row
    }
    return {**kept, "predicted": {name: round(value, 6) for name, value in predicted.items()}}


def _metrics(names: Sequence[str], rows: Sequence[Prediction]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for name in names:
        known = _known(name, rows)
        targets, predicted = ([row[key][name] for row in known] for key in ("target", "predicted"))
        if known:
            prefix = "" if len(names) == 1 else f"{name}."
            metrics = regression_metrics(targets, predicted, clusters_of_rows(known))
            found |= {f"{prefix}{key}": metric for key, metric in metrics.items()}
    return found


def _compared(
    names: Sequence[str], fused: Sequence[Prediction], runs: Sequence[Sequence[Prediction]]
) -> tuple[str, list[Difference]]:
    """The error of the first column, of the fusion minus each run."""
    name = names[0]
    known = _known(name, fused)
    if not known:
        return "mae", [Difference(float("nan"), remark="no row has a target") for _ in runs]
    clusters, ids = clusters_of_rows(known), {row["id"] for row in known}
    targets = [row["target"][name] for row in known]

    def estimate(rows: Sequence[Prediction]) -> Any:
        said = [row["predicted"][name] for row in rows if row["id"] in ids]
        return regression_estimates(targets, said, clusters)["mae"]

    ours = estimate(fused)
    called = "mae" if len(names) == 1 else f"{name}.mae"
    return called, [difference_of(ours, estimate(rows), clusters) for rows in runs]


def _known(name: str, rows: Sequence[Prediction]) -> list[Prediction]:
    return [row for row in rows if row["target"] and row["target"][name] is not None]
