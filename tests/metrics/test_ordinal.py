"""Figures of levels: against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.ordinal import ordinal_estimates


def test_they_are_those_of_scikit_learn_with_and_without_each_cluster() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 5, 80)
    predicted = (targets + rng.integers(-1, 2, 80)).clip(0, 4)
    clusters = Clusters(np.arange(80) % 7, "speaker")
    found = ordinal_estimates(targets.tolist(), predicted.tolist(), clusters)
    assert found["qwk"].value == pytest.approx(cohen_kappa_score(targets, predicted, weights="quadratic"))
    assert found["mae"].value == pytest.approx(np.abs(targets - predicted).mean())
    for number in range(7):
        kept = clusters.of != number
        expected = cohen_kappa_score(targets[kept], predicted[kept], weights="quadratic")
        assert found["qwk"].without[number] == pytest.approx(expected)


def test_one_level_tells_nothing_and_one_cluster_leaves_nothing() -> None:
    found = ordinal_estimates([1, 1], [1, 1], Clusters(np.array([0, 0])))
    assert found["qwk"].value == 0
    assert np.isnan(found["mae"].without).all()
    with pytest.raises(ValueError, match="one for each"):
        ordinal_estimates([1], [1, 2], Clusters(np.array([0])))
