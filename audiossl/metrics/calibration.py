"""Calibration of two kinds by logistic regression: of trials to log-likelihood ratios, of classes to log-odds.

The ratio of a trial may follow from several figures of it: scores of several systems, or a score and how good its two
recordings are (quality measure functions, Thienpondt et al., 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, logit

from audiossl.metrics.clusters import Floats
from audiossl.metrics.verification import checked_trials


class Calibration(NamedTuple):
    """log-likelihood ratio (natural logarithm) = scale * score + offset."""

    scale: float
    offset: float

    def llrs(self, scores: ArrayLike) -> Floats:
        return self.scale * np.asarray(scores, dtype=np.float64) + self.offset


class JointCalibration(NamedTuple):
    """log-likelihood ratio (natural logarithm) = weights (F,) * figures (F,) + offset."""

    weights: tuple[float, ...]
    offset: float

    def llrs(self, figures: ArrayLike) -> Floats:
        """(N,) ratios of N trials with the figures (N, F)."""
        llrs: Floats = np.dot(np.asarray(figures, dtype=np.float64), np.asarray(self.weights)) + self.offset
        return llrs


def fit_calibration(scores: ArrayLike, targets: ArrayLike, prior: float = 0.5) -> Calibration:
    """Logistic regression of the kind of trial on its score, which minimises the cross entropy at a prior.

    The two labels are drawn in by a pseudo-trial each (Platt, 1999), so that scores that separate the kinds
    perfectly do not give an infinite scale.

    scores: (N,).
    targets: (N,) of 0 and 1.
    prior: what the trials of the one kind weigh together, and the others the rest. By default both kinds weigh alike,
        so that Cllr is what is minimised.
    """
    values, same = checked_trials(scores, targets)
    weights, offset = _fit_plane(values[:, None], same, 2 * _equal_weights(same) * np.where(same, prior, 1 - prior))
    return Calibration(float(weights[0]), offset - float(logit(prior)))


def fit_joint_calibration(figures: Floats, targets: ArrayLike) -> JointCalibration:
    """As `fit_calibration`, of several figures (N, F) of each trial. A figure that never varies gets a weight of 0."""
    _, same = checked_trials(figures[:, 0], targets)
    weights, offset = _fit_plane(figures, same, _equal_weights(same))
    return JointCalibration(tuple(weights.tolist()), offset)


def fit_log_odds(scores: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """Platt's scale and offset: log-odds = scale * score + offset, for kinds as frequent as they are here."""
    values, same = checked_trials(scores, targets)
    weights, offset = _fit_plane(values[:, None], same, np.full(len(values), 1 / len(values)))
    return float(weights[0]), offset


def _equal_weights(same: NDArray[np.bool_]) -> Floats:
    weights: Floats = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    return weights


def _fit_plane(values: Floats, same: NDArray[np.bool_], weights: Floats) -> tuple[Floats, float]:
    """Weights (F,) and offset of a logistic regression.

    values: (N, F) figures.
    same: (N,) which of the kinds each is of.
    weights: (N,) of the items.
    """
    from scipy.optimize import minimize

    centre, spread = values.mean(axis=0), values.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(centre), 1e-300)
    spread = np.where(varies, spread, 1.0)
    standard = np.where(varies, (values - centre) / spread, 0.0)
    wanted = np.where(same, (same.sum() + 1) / (same.sum() + 2), 1 / ((~same).sum() + 2))

    def cost(parameters: Floats) -> tuple[float, Floats]:
        ratios = standard @ parameters[:-1] + parameters[-1]
        losses = -(wanted * log_expit(ratios) + (1 - wanted) * log_expit(-ratios))
        slopes = weights * (expit(ratios) - wanted)
        return float(weights @ losses), np.append(slopes @ standard, slopes.sum())

    found = minimize(cost, np.zeros(values.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-8})
    scales = found.x[:-1] / spread
    return scales, float(found.x[-1]) - float(scales @ centre)
