"""Purity and PNMI as HuBERT's paper has them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.units import agreement, evenness, score_units


def counts_of(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 5, 2000)
    units = (labels * 2 + draw.integers(0, 4, 2000)) % 12
    counts = np.zeros((5, 12))
    np.add.at(counts, (labels, units), 1)
    return counts, labels, units


def test_pnmi_is_mutual_information_over_the_entropy_of_labels() -> None:
    counts, labels, units = counts_of()
    found = agreement(counts)
    of_labels = mutual_info_score(labels, labels)
    assert found["pnmi"] == pytest.approx(mutual_info_score(labels, units) / of_labels)
    right = sum((labels[units == unit] == np.bincount(labels[units == unit]).argmax()).sum() for unit in range(12))
    assert found["phone_purity"] == pytest.approx(right / 2000)
    assert found["cluster_purity"] == pytest.approx(sum(counts[label].max() for label in range(5)) / 2000)


def test_one_label_alone_has_no_pnmi() -> None:
    assert np.isnan(agreement(np.array([[1.0, 2.0]]))["pnmi"])


def test_units_that_are_used_alike_have_the_perplexity_of_their_number() -> None:
    found = evenness(np.array([3.0, 3.0, 3.0, 0.0]))
    assert found == pytest.approx({"usage": 0.75, "entropy_bits": np.log2(3), "perplexity": 3.0})


def test_intervals_hold_the_figures() -> None:
    each = np.stack([counts_of(seed)[0] for seed in range(10)])
    found = score_units(each, Clusters(np.arange(10), "recording"))
    assert list(found) == ["phone_purity", "cluster_purity", "pnmi", "usage", "entropy_bits", "perplexity"]
    for name, metric in found.items():
        if name not in ("usage",):
            assert metric.low is not None
            assert metric.high is not None
            assert metric.low < metric.value < metric.high
    assert set(score_units(each.sum(1), Clusters(np.arange(10)))) == {"usage", "entropy_bits", "perplexity"}
    with pytest.raises(ValueError, match="at least one frame"):
        score_units(np.zeros((2, 3)), Clusters(np.arange(2)))
