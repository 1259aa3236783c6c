"""What dev decides: the layer, how scores are normalised, the threshold of a detection, and the calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from audiossl.metrics.calibration import Calibration, fit_calibration
from audiossl.metrics.clusters import Floats
from audiossl.metrics.term_detection import Flags, Searches, TermCosts, best_threshold

Normalization = Literal["z", "none"]
NORMALIZATIONS: tuple[Normalization, ...] = ("z", "none")  # the first where they are equally good
DIGITS = 6  # of scores as they are stored


class Choice(NamedTuple):
    """What dev decided.

    layer: whose frames are compared.
    normalization: of the scores of a query over the documents.
    threshold: the least score that is a detection. Infinite for none.
    calibration: from scores to log-likelihood ratios.
    """

    layer: int
    normalization: Normalization
    threshold: float
    calibration: Calibration


def normalized(scores: Floats, normalization: Normalization) -> Floats:
    """The scores of Q queries in D documents, made comparable between queries.

    'z' brings those of each query to mean 0 and deviation 1 over the documents. A query that was not searched (NaN)
    is in the middle everywhere with 'z', and as far as the farthest without.

    >>> normalized(np.array([[1.0, 3.0], [5.0, 5.0]]), "z").tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    if normalization == "z":
        centred = scores - scores.mean(axis=1, keepdims=True)
        made = centred / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
        scaled: Floats = np.nan_to_num(made, nan=0.0).round(DIGITS)
        return scaled
    known = scores[np.isfinite(scores)]
    filled: Floats = np.nan_to_num(scores, nan=float(known.min()) if len(known) else 0.0).round(DIGITS)
    return filled


def choose(
    scores: Mapping[int, Floats], present: Flags, allowed: Sequence[Normalization], costs: TermCosts
) -> tuple[Choice, dict[tuple[int, Normalization], float]]:
    """The layer and the normalisation with the highest MTWV, with its threshold and calibration. Ties go to the first.

    scores: by layer (Q, D) as `score_document` gives them.
    present: (Q, D) whether a query is in a document.
    allowed: normalisations to choose from.
    costs: of misses and false alarms.
    Returns the choice, and the MTWV of all.
    Raises ValueError where no query is in some documents and not in others.
    """
    values, best = {}, None
    for layer, raw in scores.items():
        for normalization in allowed:
            searches = Searches(normalized(raw, normalization), present)
            found = best_threshold(searches, costs)
            values[layer, normalization] = found.value
            if best is None or found.value > best[0].value:
                best = found, layer, normalization, searches
    assert best is not None
    found, layer, normalization, searches = best
    calibration = fit_calibration(searches.scores.ravel(), present.ravel(), costs.prior)
    threshold = _between(searches.scores, found.threshold)
    return Choice(layer, normalization, threshold, calibration), values


def _between(scores: Floats, threshold: float) -> float:
    """The middle between the least score that is a detection and the next one, so that rounding decides nothing."""
    below = scores[scores < threshold]
    if not math.isfinite(threshold) or not len(below):
        return threshold
    return float((threshold + below.max()) / 2)
