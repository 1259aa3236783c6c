"""Accuracy, recall and F1 against scikit-learn, and with one speaker after the other left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from audiossl.metrics.classification import (
    accuracy,
    classification_estimates,
    classification_metrics,
    classified_clusters,
    confusion_matrix,
    macro_f1,
    unweighted_average_recall,
)

LABELS = ["cat", "dog", "owl", "yak"]


def answers(num_items: int, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    targets = rng.choice(LABELS, size=num_items, p=[0.5, 0.3, 0.15, 0.05])
    guesses = np.where(rng.random(num_items) < 0.7, targets, rng.choice(LABELS, size=num_items))
    return targets.tolist(), guesses.tolist()


def sklearn_values(targets: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": sklearn.metrics.accuracy_score(targets, predicted),
            "uar": sklearn.metrics.balanced_accuracy_score(targets, predicted),
            "f1": sklearn.metrics.f1_score(targets, predicted, average="macro"),
        }


@pytest.mark.parametrize("num_items", [1, 2, 10, 300])
def test_values_agree_with_scikit_learn(num_items: int) -> None:
    for seed in range(5):
        targets, predicted = answers(num_items, seed)
        metrics = classification_metrics(targets, predicted)
        expected = sklearn_values(targets, predicted)
        assert {name: metric.value for name, metric in metrics.items()} == pytest.approx(expected)
        matrix = confusion_matrix(targets, predicted, LABELS)
        assert accuracy(matrix) == pytest.approx(expected["accuracy"])
        assert unweighted_average_recall(matrix) == pytest.approx(expected["uar"])
        assert macro_f1(matrix) == pytest.approx(expected["f1"])


def test_confusion_matrix_agrees_with_scikit_learn() -> None:
    targets, predicted = answers(200, 0)
    expected = sklearn.metrics.confusion_matrix(targets, predicted, labels=LABELS)
    assert (confusion_matrix(targets, predicted, LABELS) == expected).all()


@pytest.mark.parametrize("by_speaker", [False, True])
def test_figures_without_a_cluster_are_those_of_the_rest(by_speaker: bool) -> None:
    """The jackknife in one go against leaving out one speaker (or item) after the other."""
    targets, predicted = answers(90, 3)
    speakers = [f"s{number}" for number in np.random.default_rng(0).integers(0, 7, size=90)] if by_speaker else None
    clusters = classified_clusters(targets, speakers)
    found = classification_estimates(targets, predicted, clusters)
    for cluster in range(clusters.num):
        kept = np.flatnonzero(clusters.of != cluster)
        expected = sklearn_values([targets[i] for i in kept], [predicted[i] for i in kept])
        assert {name: each.without[cluster] for name, each in found.items()} == pytest.approx(expected)


def test_a_class_of_one_speaker_keeps_its_recall_and_is_said() -> None:
    targets, speakers = list("aaaabbbbcc"), list("xyzwxyzwxx")
    predicted = list("aaabbbbacb")
    clusters = classified_clusters(targets, speakers)
    uar = classification_estimates(targets, predicted, clusters)["uar"]
    # Without x, classes a and b have three items each, c keeps 1 of 2.
    assert uar.without[sorted(set(speakers)).index("x")] == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    metrics = classification_metrics(targets, predicted, speakers)
    assert metrics["uar"].remark == "1 of 3 classes are of one speaker each, who may differ from others"
    assert metrics["accuracy"].remark == ""


def test_where_each_class_is_one_speaker_items_vary() -> None:
    targets = ["ann"] * 40 + ["bob"] * 30
    predicted = ["ann"] * 39 + ["bob"] * 31
    metrics = classification_metrics(targets, predicted, targets)
    assert {metric.cluster for metric in metrics.values()} == {"item"}
    assert metrics["f1"].remark.startswith("each class is one speaker")
    assert metrics["f1"].low is not None and metrics["f1"].low > 0.85


def test_interval_of_the_accuracy_is_near_that_of_wilson() -> None:
    targets, predicted = answers(250, 5)
    right = sum(one == other for one, other in zip(targets, predicted, strict=True))
    theirs = scipy.stats.binomtest(right, 250).proportion_ci(method="wilson")
    ours = classification_metrics(targets, predicted)["accuracy"]
    assert ours[1:3] == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_many_classes_cost_memory_by_their_items_not_by_their_square() -> None:
    speakers = [f"id{number:04d}" for number in range(1251)]
    rng = np.random.default_rng(0)
    targets = rng.choice(speakers, size=2000).tolist()
    predicted = [target if keep else speakers[0] for target, keep in zip(targets, rng.random(2000) < 0.8, strict=True)]
    metrics = classification_metrics(targets, predicted)
    assert metrics["uar"].value == pytest.approx(sklearn_values(targets, predicted)["uar"])


def test_nothing_or_unequal_numbers_are_errors() -> None:
    for targets, predicted in (([], []), (["a"], ["a", "b"])):
        with pytest.raises(ValueError, match="predictions for"):
            classification_metrics(targets, predicted)
