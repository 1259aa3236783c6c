"""One against the rest: figures equal scikit-learn's and hand counts, and intervals leave out clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.detection import detection_metrics, eer_estimate


def test_auc_is_scikit_learns_and_both_are_those_of_gaussians() -> None:
    draw = np.random.default_rng(0)
    targets = ["abc"[number % 3] for number in range(6000)]
    apart = 2.0
    scores = draw.standard_normal((6000, 3)) + apart * np.array(
        [[each == label for label in "abc"] for each in targets]
    )
    groups = clusters_of([f"r{number // 3 % 40}" for number in range(6000)], 6000, "recording")
    macro, each = detection_metrics(targets, scores, list("abc"), groups)
    for number, label in enumerate("abc"):
        truth = [target == label for target in targets]
        assert each[label]["auroc"].value == pytest.approx(roc_auc_score(truth, scores[:, number]))
        # Two Gaussians of variance 1: AUC is Phi(d / sqrt 2), EER is Phi(-d / 2).
        assert each[label]["auroc"].value == pytest.approx(norm.cdf(apart / 2**0.5), abs=0.01)
        assert each[label]["eer"].value == pytest.approx(norm.cdf(-apart / 2), abs=0.015)
    assert macro["eer"].value == pytest.approx(np.mean([each[label]["eer"].value for label in "abc"]))
    assert macro["eer"].low is not None
    assert macro["eer"].low < norm.cdf(-apart / 2) < (macro["eer"].high or 0)


def test_leaving_out_a_cluster_by_hand() -> None:
    targets, scores = [1, 1, 0, 0], [0.9, 0.2, 0.3, 0.1]
    found = eer_estimate(targets, scores, clusters_of(["a", "b", "a", "b"], 4, "recording"))
    assert found.value == pytest.approx(0.5)
    assert found.without == pytest.approx([0.0, 0.0])
    alone = eer_estimate(targets, scores, clusters_of(["a", "a", "b", "b"], 4, "recording"))
    assert alone.without == pytest.approx([0.5, 0.5])


def test_one_class_is_none() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        detection_metrics(["a", "a"], np.zeros((2, 2)), ["a", "b"], clusters_of(None, 2))
