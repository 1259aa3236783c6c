"""Boundaries by hand and by the published formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audiossl.metrics.boundaries import boundary_counts, boundary_estimates, boundary_figures, boundary_metrics
from audiossl.metrics.clusters import Clusters


def test_counts_by_hand() -> None:
    true, found = [0.5, 1.0, 1.5, 2.0], [0.46, 0.54, 1.051, 1.55, 2.3]
    assert boundary_counts(true, found, 0.05) == (4, 5, 2)
    assert boundary_counts(true, [], 0.05) == (4, 0, 0) and boundary_counts([], [1.0], 0.05) == (0, 1, 0)
    # As many pairs as can be: the first found boundary is left to the first true one.
    assert boundary_counts([1.0, 1.08], [1.04, 0.96], 0.05).num_hits == 2


def test_figures_by_hand() -> None:
    found = {name: float(value[0]) for name, value in boundary_figures(np.array([[4.0, 5.0, 2.0]])).items()}
    assert found["precision"] == 0.4 and found["recall"] == 0.5 and found["over_segmentation"] == 0.25
    assert found["f1"] == pytest.approx(2 * 0.4 * 0.5 / 0.9)
    # Räsänen's OS is recall / precision - 1, and his hit rate is the recall in per cent.
    recall, over = 50.0, 100 * (0.5 / 0.4 - 1)
    far, aside = math.sqrt((100 - recall) ** 2 + over**2), (-over + recall - 100) / math.sqrt(2)
    assert found["r_value"] == pytest.approx(1 - (abs(far) + abs(aside)) / 200)


def test_extremes() -> None:
    figures = boundary_figures(np.array([[10.0, 10, 10], [10, 0, 0], [10, 100, 10], [0, 3, 0]]))
    assert figures["r_value"][0] == 1.0 and figures["f1"][0] == 1.0
    assert figures["r_value"][1] == pytest.approx(1 - math.sqrt(2) / 2)
    assert figures["precision"][1] == 0.0 and figures["recall"][2] == 1.0
    assert figures["r_value"][2] < -5  # everywhere is no answer
    assert np.isnan(figures["r_value"][3])


def test_intervals_are_over_groups() -> None:
    counts = np.array([[4, 4, 3], [4, 5, 2], [5, 4, 4], [3, 3, 1]])
    found = boundary_metrics(counts, ["a", "a", "b", "c"], "speaker")
    assert found["recall"].value == 10 / 16 and found["recall"].num_clusters == 3
    estimate = boundary_estimates(counts, Clusters(np.array([0, 0, 1, 2])))["recall"]
    assert estimate.without.tolist() == [5 / 8, 6 / 11, 9 / 13]
    with pytest.raises(ValueError, match="no true boundary in 1 recordings"):
        boundary_metrics(np.array([[0, 3, 0]]))
