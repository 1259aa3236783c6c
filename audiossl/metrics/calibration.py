"""Calibration: from scores of speaker verification to log-likelihood ratios."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
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
    from scipy.optimize import minimize

    values, same = checked_trials(scores, targets)
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    standard = (values - centre) / spread
    num_targets, num_others = int(same.sum()), int((~same).sum())
    wanted = np.where(same, (num_targets + 1) / (num_targets + 2), 1 / (num_others + 2))
    weights = np.where(same, 0.5 / num_targets, 0.5 / num_others)

    def cost(parameters: Floats) -> tuple[float, Floats]:
        ratios = parameters[0] * standard + parameters[1]
        losses = -(wanted * log_expit(ratios) + (1 - wanted) * log_expit(-ratios))
        slopes = weights * (expit(ratios) - wanted)
        return float(weights @ losses), np.array([slopes @ standard, slopes.sum()])

    found = minimize(cost, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8})
    scale = float(found.x[0]) / spread
    return Calibration(scale, float(found.x[1]) - scale * centre)
