"""One probe on one layer: ridge or logistic regression, its penalty chosen on a part that neither fits nor tests.

Vectors are standardised by what fits. Ridge solves min |W^(1/2) (Y - X b)|^2 + a n |b|^2 for all penalties a at once by
the eigenvalues of X' W X, and works with fewer segments than dimensions. Of classes, Y is one column each (1 where the
segment is of it), rows weigh n / (C n_c), so that classes are alike, and the largest column decides, as in a ridge
classifier. Logistic regression is scikit-learn's, with the same weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.analysis.functionals import Vectors
from audiossl.analysis.segment_probes.folds import HeldOut
from audiossl.metrics.classification import classification_estimates
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.regression import regression_estimates

PENALTIES = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)  # of ridge, a share of the variance of a vector's columns
INVERSE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C

Targets = NDArray[Any]  # (N,) names of classes, or numbers


class ToldByLayer(NamedTuple):
    """What a layer tells of N segments, each by a probe that was fitted without its speaker (or what is held out).

    predicted: (N,) classes or numbers.
    penalties: of each test.
    dev: the score of each test's dev part, by which penalty and layer are chosen.
    """

    predicted: Targets
    penalties: list[float]
    dev: list[float]


Predict = Callable[[Vectors], Targets]
Probe = Callable[[Vectors, Targets, Sequence[float]], list[Predict]]


class ProbeKind(NamedTuple):
    """A probe.

    fit: it on vectors (n, D) and targets (n,) with each of several penalties.
    penalties: to choose from. Of equals on dev the first wins, so the strongest comes first.
    """

    fit: Probe
    penalties: tuple[float, ...]


def told_by(vectors: Vectors, targets: Targets, cells: Sequence[HeldOut], probe: ProbeKind, metric: str) -> ToldByLayer:
    """What one layer tells.

    vectors: (N, D).
    targets: (N,).
    cells: the tests.
    probe: what is fitted.
    metric: that dev chooses by.
    """
    told = ToldByLayer(np.empty_like(targets), [], [])
    for cell in cells:
        fitted = probe.fit(vectors[cell.fit], targets[cell.fit], probe.penalties)
        scores = [score(targets[cell.dev], predict(vectors[cell.dev]), metric) for predict in fitted]
        best = int(np.argmax(scores))
        chosen = probe.penalties[best]
        (predict,) = probe.fit(vectors[cell.train], targets[cell.train], [chosen])
        told.predicted[cell.test] = predict(vectors[cell.test])
        told.penalties.append(chosen)
        told.dev.append(scores[best])
    return told


def score(targets: Targets, predicted: Targets, metric: str) -> float:
    """A metric without its interval. 0 where a correlation is undefined, as equal targets have none."""
    alone = Clusters(np.zeros(len(targets), dtype=np.int64))
    if targets.dtype.kind == "f":
        found = regression_estimates(targets, predicted, alone)
    else:
        found = classification_estimates(targets.tolist(), predicted.tolist(), alone)
    return found[metric].value if metric in found else 0.0


def ridge(x: Vectors, y: Targets, penalties: Sequence[float]) -> list[Predict]:
    """Ridge regression of numbers (n,) or classes (n,) from vectors (n, D), with each penalty."""
    names = None if y.dtype.kind == "f" else np.unique(y)
    wanted = y[:, None].astype(np.float64) if names is None else (y[:, None] == names).astype(np.float64)
    weights = np.ones(len(y)) if names is None else (len(y) / len(names) / wanted.sum(axis=0))[wanted.argmax(axis=1)]
    weights = weights / weights.sum()
    mean, middle = weights @ x.astype(np.float64), weights @ wanted
    centred = x - mean
    scale = np.sqrt(weights @ centred**2)
    scale = np.where(scale > 1e-8, scale, 1.0)
    centred = centred / scale
    weighted = centred * weights[:, None]
    spectrum, basis = np.linalg.eigh(weighted.T @ centred)
    turned = basis.T @ (weighted.T @ (wanted - middle))
    made = []
    for penalty in penalties:
        slope = basis @ (turned / (spectrum.clip(min=0) + penalty)[:, None]) / scale[:, None]  # (D, C)
        made.append(_linear(slope, middle - mean @ slope, names))
    return made


def _linear(slope: Floats, offset: Floats, names: Targets | None) -> Predict:
    def predict(x: Vectors) -> Targets:
        values = x @ slope + offset
        return values[:, 0] if names is None else names[values.argmax(axis=1)]

    return predict


def logistic(x: Vectors, y: Targets, penalties: Sequence[float]) -> list[Predict]:
    """Multinomial logistic regression of classes (n,) from vectors (n, D), with each inverse penalty C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = []
    for inverse in penalties:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse, class_weight="balanced", max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an optimum that is not reached to the last digit tells as much
            model.fit(x, y)
        made.append(model.predict)
    return made


PROBES = {"ridge": ProbeKind(ridge, PENALTIES), "logistic": ProbeKind(logistic, INVERSE_PENALTIES)}
