"""Probes find what is linearly in a layer, there alone, and equal scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from audiossl.analysis.segment_probes.fitting import PENALTIES, PROBES, ridge, score, told_by
from audiossl.analysis.segment_probes.folds import cells_of, draw_parts

RNG = np.random.default_rng(0)
SPEAKERS = [f"s{number % 12}" for number in range(360)]
CELLS = list(cells_of({"speaker": draw_parts(SPEAKERS, 4, 0, column="speaker")}, 4))


def test_ridge_is_that_of_scikit_learn() -> None:
    x, y = RNG.standard_normal((40, 60)).astype(np.float32), RNG.standard_normal(40)  # fewer items than columns
    other = RNG.standard_normal((5, 60)).astype(np.float32)
    scaled = (x - x.mean(0)) / x.std(0)
    for penalty, predict in zip(PENALTIES, ridge(x, y, PENALTIES), strict=True):
        model = Ridge(alpha=penalty * len(y)).fit(scaled.astype(np.float64), y)
        expected = model.predict(((other - x.mean(0)) / x.std(0)).astype(np.float64))
        np.testing.assert_allclose(predict(other), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["numbers", "ridge", "logistic"])
def test_a_property_of_one_layer_is_found_there_alone(kind: str) -> None:
    layers = [RNG.standard_normal((360, 16)).astype(np.float32) for _ in range(3)]
    value = layers[1] @ RNG.standard_normal(16)
    targets = value.astype(np.float64) if kind == "numbers" else np.array(["low", "high"])[(value > 0).astype(int)]
    metric = "pearson" if kind == "numbers" else "uar"
    probe = PROBES["logistic" if kind == "logistic" else "ridge"]
    told = [told_by(vectors, targets, CELLS, probe, metric) for vectors in layers]
    scores = [score(targets, each.predicted, metric) for each in told]
    chance = 0.0 if kind == "numbers" else 0.5
    assert scores[1] > 0.93
    assert abs(scores[0] - chance) < 0.15 and abs(scores[2] - chance) < 0.15
    dealt = told_by(layers[1], RNG.permutation(targets), CELLS, probe, metric)
    assert abs(score(targets, dealt.predicted, metric) - chance) < 0.15
    assert len(told[1].penalties) == len(told[1].dev) == 4


def test_rare_classes_weigh_as_much_as_frequent_ones() -> None:
    x = RNG.standard_normal((300, 4)).astype(np.float32)
    y = np.array(["often"] * 270 + ["rare"] * 30)
    x[270:, 0] += 2
    (predict,) = ridge(x, y, [0.1])
    assert score(y, predict(x), "uar") > 0.75


def test_equal_targets_have_no_correlation() -> None:
    assert score(np.ones(4), np.arange(4.0), "pearson") == 0.0
