"""Calibration of two kinds by logistic regression: of trials to log-likelihood ratios, of classes to log-odds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from audiossl.metrics.clusters import Floats
from audiossl.metrics.verification import checked_trials


class Calibration(NamedTuple):
    """log-likelihood ratio (natural logarithm) = scale * score + offset."""

    scale: float
    offset: float

    def llrs(self, scores: ArrayLike) -> Floats:
        return self.scale * np.asarray(scores, dtype=np.float64) + self.offset


def fit_calibration(scores: ArrayLike, targets: ArrayLike) -> Calibration:
    """Logistic regression of the kind of trial on its score, both kinds with equal weight. It minimises Cllr.

    The two labels are drawn in by a pseudo-trial each (Platt, 1999), so that scores that separate the kinds
    perfectly do not give an infinite scale.
    """
    values, same = checked_trials(scores, targets)
    return Calibration(*_fit_line(values, same, np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())))


def fit_log_odds(scores: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """Platt's scale and offset: log-odds = scale * score + offset, for kinds as frequent as they are here."""
    values, same = checked_trials(scores, targets)
    return _fit_line(values, same, np.full(len(values), 1 / len(values)))


def _fit_line(values: Floats, same: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Scale and offset of a logistic regression.

    values: (N,) scores.
    same: (N,) which of the kinds each is of.
    weights: (N,) of the items.
    """
    from scipy.optimize import minimize

    centre, spread = float(values.mean()), float(values.std()) or 1.0
    standard = (values - centre) / spread
    wanted = np.where(same, (same.sum() + 1) / (same.sum() + 2), 1 / ((~same).sum() + 2))

    def cost(parameters: Floats) -> tuple[float, Floats]:
        ratios = parameters[0] * standard + parameters[1]
        losses = -(wanted * log_expit(ratios) + (1 - wanted) * log_expit(-ratios))
        slopes = weights * (expit(ratios) - wanted)
        return float(weights @ losses), np.array([slopes @ standard, slopes.sum()])

    found = minimize(cost, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8})
    scale = float(found.x[0]) / spread
    return scale, float(found.x[1]) - scale * centre
