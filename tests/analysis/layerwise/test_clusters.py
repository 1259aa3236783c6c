"""Mutual information of units and labels is that of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from audiossl.analysis.layerwise.clusters import information
from audiossl.nn.kmeans import KMeansConfig, fit_kmeans, nearest_centre


def test_information_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    vectors = (rng.normal(size=(200, 5)) + 1.5 * np.eye(5)[labels]).astype(np.float32)
    groups, folds = np.arange(200) % 5, np.arange(200) // 4 % 4
    found = information(vectors, labels, groups, folds, 6, [0, 1])
    x, expected = torch.from_numpy(vectors), []
    for half in (0, 1):
        train, test = folds % 2 == half, folds % 2 != half
        for seed in (0, 1):
            centres = fit_kmeans(x[train], KMeansConfig(clusters=6, starts=1, seed=seed)).centres
            units = nearest_centre(x[test], centres).numpy()
            entropy = mutual_info_score(labels[test], labels[test])
            expected.append(mutual_info_score(labels[test], units) / entropy)
    assert found.value == pytest.approx(np.mean(expected))
    assert found.without.shape == (5,)


def test_labels_that_are_units_are_known_and_noise_is_hardly() -> None:
    rng = np.random.default_rng(1)
    labels, folds = np.arange(400) % 2, np.arange(400) // 2 % 2
    apart = (np.eye(2)[labels] * 20 + rng.normal(size=(400, 2))).astype(np.float32)
    assert information(apart, labels, folds, folds, 2, [0]).value == pytest.approx(1.0)
    noise = rng.normal(size=(400, 2)).astype(np.float32)
    assert information(noise, labels, folds, folds, 2, [0]).value < 0.05
