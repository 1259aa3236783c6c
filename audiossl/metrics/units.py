"""How well units (clusters) agree with labels (phones, say), and how evenly they are used.

Measures of HuBERT (arXiv:2106.07447, section IV-C) on the counts of frames n(label, unit):

    phone purity    sum over units of the most frequent label's frames / all frames
    cluster purity  sum over labels of the most frequent unit's frames / all frames
    PNMI            I(label, unit) / H(label), the share of what is to be known of labels that units tell

More units raise phone purity and PNMI by themselves, one for each frame to 1. Compare equal numbers of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, metric_of

AGREEMENT = ("phone_purity", "cluster_purity", "pnmi")


def agreement(counts: Floats) -> dict[str, float]:
    """Phone purity, cluster purity and PNMI of counts (P, K). NaN for PNMI where there is one label alone.

    >>> agreement(np.array([[4.0, 0.0], [0.0, 4.0]]))
    {'phone_purity': 1.0, 'cluster_purity': 1.0, 'pnmi': 1.0}
    """
    total = counts.sum()
    of_labels = _entropy(counts.sum(1) / total)
    shared = of_labels + _entropy(counts.sum(0) / total) - _entropy(counts.ravel() / total)
    return {
        "phone_purity": float(counts.max(0).sum() / total),
        "cluster_purity": float(counts.max(1).sum() / total),
        "pnmi": float(shared / of_labels) if of_labels > 0 else float("nan"),
    }


def evenness(counts: Floats) -> dict[str, float]:
    """Of counts (K,): the share of units in use, the entropy of units in bits, and the number of units used as evenly.

    >>> evenness(np.array([2.0, 2.0, 0.0, 0.0]))
    {'usage': 0.5, 'entropy_bits': 1.0, 'perplexity': 2.0}
    """
    entropy = _entropy(counts / counts.sum())
    return {
        "usage": float((counts > 0).mean()),
        "entropy_bits": float(entropy / np.log(2)),
        "perplexity": float(np.exp(entropy)),
    }


def score_units(counts: Floats, clusters: Clusters) -> dict[str, Metric]:
    """Every figure with its interval.

    counts: (G, P, K) frames of each cluster of recordings by label and unit, or (G, K) without labels.
    clusters: of the recordings, G of them. Each costs a figure more, so merge many (`Clusters.merged`).
    Raises ValueError for counts of nothing.
    """
    if not counts.sum():
        raise ValueError("Units are scored on at least one frame.")
    labelled = counts.ndim == 3
    found = _estimates(counts, agreement) if labelled else {}
    found |= _estimates(counts.sum(1) if labelled else counts, evenness)
    return {name: metric_of(estimate, clusters) for name, estimate in found.items()}


def _estimates(counts: Floats, figures: Callable[[Floats], dict[str, float]]) -> dict[str, Estimate]:
    """Figures of the sum over clusters, and what they are without each of them."""
    total = counts.sum(0)
    value = figures(total)
    without: dict[str, list[float]] = {name: [] for name in value}
    for own in counts:
        left = total - own
        made = figures(left) if left.sum() else dict.fromkeys(value, float("nan"))
        for name, each in made.items():
            without[name].append(each)
    shares = (*AGREEMENT, "usage")
    return {
        name: Estimate(each, np.array(without[name]), "share" if name in shares else "real")
        for name, each in value.items()
    }


def _entropy(shares: Floats) -> float:
    """In nats."""
    used = shares[shares > 0]
    return float(-(used * np.log(used)).sum())
