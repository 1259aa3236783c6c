"""From the logits of windows to probabilities and decisions, class by class, as dev has it.

A loss that weights the positives of a class by w is least at logits that are log(w) too high. That is undone always.
Where dev has enough windows with a class, Platt's line is fitted to its logits, and kept if it makes held-out windows
likelier. The threshold is then that of the highest F1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from audiossl.metrics.calibration import fit_log_odds
from audiossl.metrics.clusters import Clusters, Floats

FEWEST_WINDOWS = 10  # with a class, and without it
UNKNOWN = 0.5  # the threshold of a class of which dev has too few


class Decision(NamedTuple):
    """How a class is decided. Its score is 1 / (1 + exp(-scale * logit - offset)).

    threshold: score from which on the class is heard.
    calibrated: 1 where the score is a probability that was fitted on dev, else 0.
    """

    scale: float
    offset: float
    threshold: float = UNKNOWN
    calibrated: float = 0.0


def scores_of(logits: ArrayLike, decisions: Floats) -> Floats:
    """Scores (..., C) with six significant digits, so that those of rare classes keep their order.

    logits: (..., C).
    decisions: (C, 4) the fields of each `Decision`.
    """
    return significant(expit(np.asarray(logits, dtype=np.float64) * decisions[:, 0] + decisions[:, 1]))


def significant(values: Floats, digits: int = 6) -> Floats:
    """Values of at most 1, not negative, rounded to so many digits."""
    unit = 10.0 ** (np.floor(np.log10(np.maximum(values, 1e-30))) + 1 - digits)
    rounded: Floats = np.minimum(np.round(values / unit) * unit, 1.0)
    return rounded


def fit_decision(logits: Floats, present: NDArray[np.bool_], clusters: Clusters, weight: float) -> Decision:
    """The decision of one class.

    logits: (N,) of the windows of dev.
    present: (N,) whether the class is heard in them.
    clusters: of the windows. Each half of them is judged by the line of the other.
    weight: of its positives in the loss.
    """
    plain = Decision(1.0, -float(np.log(weight)))
    if min(present.sum(), (~present).sum()) < FEWEST_WINDOWS or not np.isfinite(logits).all():
        return plain
    made = plain
    if _line_helps(logits, present, clusters, plain):
        made = Decision(*fit_log_odds(logits, present), calibrated=1.0)
    scores = scores_of(logits[:, None], np.array([made]))[:, 0]
    return made._replace(threshold=best_threshold(scores, present))


def best_threshold(scores: Floats, present: NDArray[np.bool_]) -> float:
    """Halfway between the two scores that the decision of the highest F1 lies between.

    Of several the one that hears the class least often.

    >>> best_threshold(np.array([0.1, 0.2, 0.3, 0.7]), np.array([False, False, True, True]))
    0.25
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of windows of one score
    hits = np.cumsum(present[order])[last]
    f1 = 2 * hits / (last + 1 + present.sum())
    edges = np.append(ranked[last], 0.0)
    place = int(np.argmax(f1))
    return float((edges[place] + edges[place + 1]) / 2)


def _line_helps(logits: Floats, present: NDArray[np.bool_], clusters: Clusters, plain: Decision) -> bool:
    """Whether a fitted line, of positive slope, makes windows likelier that it was not fitted to."""
    parts = clusters if clusters.num > 1 else clusters.as_items("")
    first = parts.of % 2 == 0
    held_out = 0.0
    for half in (first, ~first):
        rest = present[~half]
        if not rest.any() or rest.all():
            return False
        scale, offset = fit_log_odds(logits[~half], rest)
        held_out += _nll(scale * logits[half] + offset, present[half])
    return held_out < _nll(logits + plain.offset, present) and fit_log_odds(logits, present)[0] > 0


def _nll(log_odds: Floats, present: NDArray[np.bool_]) -> float:
    return -float(log_expit(np.where(present, log_odds, -log_odds)).sum())
