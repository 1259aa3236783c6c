"""Scores of layers, with what they are without each group."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.layerwise.suitability import suitability
from audiossl.analysis.layerwise.views import ViewItems
from audiossl.metrics.transferability import ClassSums, log_evidence, pushed_apart


def _items() -> tuple[np.ndarray, ViewItems, np.ndarray]:
    rng = np.random.default_rng(0)
    labels, groups = np.arange(80) % 4, np.arange(80) // 20
    vectors = (rng.standard_normal((80, 6)) + 2 * np.eye(6)[labels]).astype(np.float32)
    return vectors, ViewItems("phones", [], np.eye(4)[labels], labels, list("abcd")), groups


def test_each_score_has_a_value_without_each_group() -> None:
    vectors, items, groups = _items()
    found = suitability(vectors, items, groups, 4, ["logme", "ped", "tmi"])
    assert list(found) == ["logme", "ped", "tmi"]
    left = ClassSums.of(vectors[groups != 1], items.values[groups != 1])
    assert found["logme"].without[1] == pytest.approx(log_evidence(left), abs=1e-9)
    assert found["ped"].without[1] == pytest.approx(log_evidence(pushed_apart(left)), abs=1e-9)
    assert found["ped"].value > found["logme"].value
    assert found["tmi"].without.shape == (4,)


def test_a_class_that_one_group_alone_has_is_left_out_without_it() -> None:
    vectors, items, groups = _items()
    values = np.concatenate([items.values, groups[:, None] == 2], axis=1).astype(float)
    values[groups == 2, :4] = 0
    own = items._replace(values=values, labels=values.argmax(1), classes=list("abcde"))
    found = suitability(vectors, own, groups, 4, ["logme", "ped"])
    kept = groups != 2
    assert found["logme"].without[2] == pytest.approx(log_evidence(ClassSums.of(vectors[kept], values[kept, :4])))
    assert np.isfinite(found["ped"].without).all()


def test_numbers_have_logme_alone() -> None:
    vectors, items, groups = _items()
    numbers = items._replace(values=vectors[:, :2].astype(float), labels=None, classes=[])
    assert list(suitability(vectors, numbers, groups, 4, ["logme", "ped", "tmi"])) == ["logme"]
    assert suitability(vectors, items, groups, 4, []) == {}
