"""What a classifier's probabilities are worth, and a temperature that mends them (Guo et al., 2017, arXiv:1706.04599).

A temperature T divides all logits, so that the order of the classes stays. It is fitted on held-out items. Whether it
helps is asked of items that it was not fitted on: each half of the clusters is judged by the temperature of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from audiossl.metrics.clusters import Clusters, Floats, Ints

FEWEST_ITEMS = 50  # with fewer, neither a temperature nor what it is worth can be told from chance
NUM_BINS = 10
_RANGE = np.log([0.05, 20.0])  # of temperatures


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, num_bins: int = NUM_BINS) -> float:
    """Mean difference between what was said and what came true, over bins of equal numbers of items.

    confidences: (N,) probabilities of what was predicted.
    correct: (N,) whether it was right.
    num_bins: fewer where there are fewer items.
    Items of one confidence count alike, so that their order does not matter.

    >>> expected_calibration_error([0.9, 0.9, 0.5, 0.5], [1, 1, 1, 0], num_bins=2)
    0.05
    """
    said, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    _, place, count = np.unique(said, return_inverse=True, return_counts=True)
    right = (np.bincount(place, weights=right) / count)[place]
    order = np.argsort(said, kind="stable")
    parts = np.array_split(order, min(num_bins, len(said)))
    return round(float(sum(abs((said[part] - right[part]).sum()) for part in parts) / len(said)), 6)


def log_probabilities(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """(..., C) logarithms of probabilities that sum to one."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    found: Floats = scaled - logsumexp(scaled, axis=-1, keepdims=True)
    return found


def fit_temperature(logits: Floats, targets: Ints) -> float:
    """The temperature with the least negative log-likelihood.

    A prior, log T a standard normal, is worth about an item: items that are all right do not give T = 0.

    logits: (N, C).
    targets: (N,) the right classes.
    """
    from scipy.optimize import minimize_scalar

    def cost(log_temperature: float) -> float:
        return _nll(logits, targets, float(np.exp(log_temperature))) + 0.5 * log_temperature**2

    return float(np.exp(minimize_scalar(cost, bounds=_RANGE, method="bounded", options={"xatol": 1e-3}).x))


def temperature_that_helps(logits: Floats, targets: Ints, clusters: Clusters, weights: ArrayLike = 1.0) -> float | None:
    """The temperature of all items where one makes held-out items likelier. None where it does not, or they are few.

    logits: (N, C), finite.
    targets: (N,) the right classes.
    clusters: of the items. Each half of them is judged by the temperature of the other.
    weights: (C,) of the classes in training, which the probabilities are then without.
    """
    if len(targets) < FEWEST_ITEMS or not np.isfinite(logits).all():
        return None
    unweighted = without_weights(logits, weights)
    if clusters.num < 2:
        clusters = clusters.as_items("")
    first: NDArray[np.bool_] = clusters.of % 2 == 0
    held_out = sum(
        _nll(unweighted[half], targets[half], fit_temperature(unweighted[~half], targets[~half]))
        for half in (first, ~first)
    )
    return fit_temperature(unweighted, targets) if held_out < _nll(logits, targets, 1.0) else None


def without_weights(logits: ArrayLike, weights: ArrayLike) -> Floats:
    """Logits (..., C) of a classifier as if its loss had not weighted the classes by (C,).

    With weights w, cross entropy is least at w_c p(c | x) / sum. A class of weight 0 has no training item: it stays.
    """
    values = np.asarray(weights, dtype=np.float64)
    return np.asarray(logits, dtype=np.float64) - np.log(np.where(values > 0, values, 1.0))


def _nll(logits: Floats, targets: Ints, temperature: float) -> float:
    """The sum over items."""
    return -float(log_probabilities(logits, temperature)[np.arange(len(targets)), targets].sum())
