"""Accuracy, recall and F1 against scikit-learn, and their intervals against a plain resampling loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from audiossl.metrics import classification
from audiossl.metrics.classification import (
    accuracy,
    classification_metrics,
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
        metrics = classification_metrics(targets, predicted, num_resamples=5)
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
def test_intervals_agree_with_resampling_one_by_one(by_speaker: bool) -> None:
    targets, predicted = answers(90, 3)
    rng = np.random.default_rng(0)
    speakers = [f"s{number}" for number in rng.integers(0, 12, size=90)] if by_speaker else None
    clusters = np.unique(speakers, return_inverse=True)[1] if speakers else np.arange(90)
    members = [np.flatnonzero(clusters == cluster) for cluster in range(clusters.max() + 1)]
    rows = []
    for _ in range(800):
        drawn = np.concatenate([members[cluster] for cluster in rng.integers(0, len(members), size=len(members))])
        matrix = confusion_matrix([targets[i] for i in drawn], [predicted[i] for i in drawn], LABELS)
        rows.append([accuracy(matrix), unweighted_average_recall(matrix), macro_f1(matrix)])
    low, high = np.quantile(rows, [0.025, 0.975], axis=0)
    metrics = classification_metrics(targets, predicted, speakers, num_resamples=20000)
    assert [metrics[name].low for name in ("accuracy", "uar", "f1")] == pytest.approx(list(low), abs=0.025)
    assert [metrics[name].high for name in ("accuracy", "uar", "f1")] == pytest.approx(list(high), abs=0.025)


def test_interval_of_the_accuracy_agrees_with_scipy() -> None:
    targets, predicted = answers(250, 5)
    correct = np.array(targets) == np.array(predicted)
    theirs = scipy.stats.bootstrap((correct,), np.mean, n_resamples=5000, method="percentile", rng=0)
    ours = classification_metrics(targets, predicted, num_resamples=5000)["accuracy"]
    assert ours[1:] == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


def test_chunks_of_resamples_keep_their_number_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, predicted = answers(60, 2)
    whole = classification_metrics(targets, predicted)
    monkeypatch.setattr(classification, "_CHUNK", 1000)
    parts = classification_metrics(targets, predicted)
    for name, metric in whole.items():
        assert parts[name].value == metric.value
        assert parts[name][1:] == pytest.approx(metric[1:], abs=0.04)


def test_many_classes_cost_memory_by_their_items_not_by_their_square() -> None:
    speakers = [f"id{number:04d}" for number in range(1251)]
    rng = np.random.default_rng(0)
    targets = rng.choice(speakers, size=2000).tolist()
    predicted = [target if keep else speakers[0] for target, keep in zip(targets, rng.random(2000) < 0.8, strict=True)]
    metrics = classification_metrics(targets, predicted, num_resamples=100)
    assert metrics["uar"].value == pytest.approx(sklearn_values(targets, predicted)["uar"])


def test_nothing_or_unequal_numbers_are_errors() -> None:
    for targets, predicted in (([], []), (["a"], ["a", "b"])):
        with pytest.raises(ValueError, match="predictions for"):
            classification_metrics(targets, predicted)
