"""Probes: standardisation by training alone, and choices on dev."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from toys.probes import SPLITS, blobs

from audiossl.analysis.probes import PROBES, Scaling, best_layers, run_probes
from audiossl.core.errors import ConfigError, LabelError

torch.set_num_threads(1)


def test_every_probe_finds_what_a_layer_knows() -> None:
    found = run_probes(SPLITS, list(PROBES))
    assert [(row.probe, row.layer) for row in found] == [(probe, layer) for probe in PROBES for layer in range(3)]
    for row in found:
        value = row.test["uar"].value
        assert {0: value < 0.6, 1: value > 0.8, 2: 0.5 < value < 0.9}[row.layer], row
        assert row.test["uar"].low is not None
        assert row.value in PROBES[row.probe].values
    assert {row.layer for row in best_layers(found).values()} == {1}


def test_the_linear_probe_is_scikit_learns_on_standardised_vectors() -> None:
    (row,) = [row for row in run_probes(SPLITS, ["linear"]) if row.layer == 2]
    scaler = StandardScaler().fit(SPLITS["train"].layers[2])
    values = {}
    for c in PROBES["linear"].values:
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        model.fit(scaler.transform(SPLITS["train"].layers[2]), SPLITS["train"].labels)
        scores = [
            balanced_accuracy_score(SPLITS[split].labels, model.predict(scaler.transform(SPLITS[split].layers[2])))
            for split in ("dev", "test")
        ]
        values[c] = scores
    assert row.dev["uar"].value == pytest.approx(max(dev for dev, _ in values.values()), abs=0.04)
    assert row.test["uar"].value == pytest.approx(values[row.value][1], abs=0.04)


def test_even_scaling_keeps_the_proportions_of_columns() -> None:
    train = SPLITS["train"].layers[1]
    scaled, spread = Scaling.of(train, even=True).scaled(train).std(axis=0), train.std(axis=0)
    np.testing.assert_allclose(scaled * spread.max(), spread * scaled.max(), atol=1e-3)
    assert np.square(scaled).mean() == pytest.approx(1, abs=1e-4)


def test_test_vectors_have_no_say_in_what_is_chosen() -> None:
    other = {**SPLITS, "test": SPLITS["test"]._replace(layers={n: v * 3 + 9 for n, v in SPLITS["test"].layers.items()})}
    first, again = run_probes(SPLITS, ["svm", "knn"]), run_probes(other, ["svm", "knn"])
    assert [(row.value, row.dev) for row in first] == [(row.value, row.dev) for row in again]
    assert [row.test for row in first] != [row.test for row in again]


def test_few_items_leave_out_too_many_neighbours() -> None:
    few = {split: blobs(9, seed) for seed, split in enumerate(SPLITS)}
    assert all(row.value <= 9 for row in run_probes(few, ["knn"]))


def test_wrong_use() -> None:
    with pytest.raises(ConfigError, match="no probe named 'linaer'. Did you mean linear"):
        run_probes(SPLITS, ["linaer"])
    with pytest.raises(ConfigError, match="choose uar, accuracy or f1"):
        run_probes(SPLITS, ["knn"], metric="map")
    one = SPLITS["train"]._replace(labels=["a"] * 60)
    with pytest.raises(LabelError, match=r"at least two labels in training, not \['a'\]"):
        run_probes({**SPLITS, "train": one}, ["knn"])
    labels = ["d" if n == 5 else label for n, label in enumerate(SPLITS["test"].labels)]
    with pytest.raises(
        LabelError, match=r"1 label\(s\) of test were not seen in training, for instance 'd' \(item 'i5'\)"
    ):
        run_probes({**SPLITS, "test": SPLITS["test"]._replace(labels=labels)}, ["knn"])
