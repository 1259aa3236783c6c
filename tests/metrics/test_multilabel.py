"""Average precision and ROC area: equal to scikit-learn, ties and missing classes included; intervals by recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.multilabel import auroc, average_precision, multilabel_estimates, multilabel_metrics, per_class


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_equal_to_scikit_learn_with_ties(seed: int, num_items: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, num_items)
    scores = rng.integers(0, levels, num_items) / levels
    if targets.any():
        assert average_precision(targets, scores) == pytest.approx(average_precision_score(targets, scores))
    else:
        assert np.isnan(average_precision(targets, scores))
    if 0 < targets.sum() < num_items:
        assert auroc(targets, scores) == pytest.approx(roc_auc_score(targets, scores))
    else:
        assert np.isnan(auroc(targets, scores))


def test_by_hand() -> None:
    # Precision after the first hit is 1, after the second 2 of 3; all scores equal: the share of positives.
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 0, 1, 0], [0.5] * 4) == 0.5
    assert auroc([1, 0, 1, 0], [0.5] * 4) == 0.5
    assert auroc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == 0.75
    assert auroc([0, 1], [1.0, 0.0]) == 0.0


def test_means_are_over_the_classes_that_occur() -> None:
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 2, (50, 4)), rng.random((50, 4))
    targets[:, 1] = 0  # never
    targets[:, 2] = 1  # always: average precision 1, no ROC curve
    metrics = multilabel_metrics(targets, scores)
    expected = [average_precision_score(targets[:, c], scores[:, c]) for c in (0, 2, 3)]
    assert metrics["map"].value == pytest.approx(np.mean(expected))
    areas = [roc_auc_score(targets[:, c], scores[:, c]) for c in (0, 3)]
    assert metrics["auroc"].value == pytest.approx(np.mean(areas))
    figures = per_class(targets, scores)
    assert [row.num_positives for row in figures] == targets.sum(axis=0).tolist()
    assert figures[1].average_precision is None
    assert figures[1].auroc is None
    assert figures[2].average_precision == 1.0
    assert figures[2].auroc is None


def test_no_class_at_all_is_no_number() -> None:
    metrics = multilabel_metrics(np.zeros((5, 2)), np.random.default_rng(0).random((5, 2)))
    assert all(np.isnan(metric.value) and metric.low is None for metric in metrics.values())


def test_figures_without_a_recording_are_those_of_the_rest() -> None:
    """Against the plain loop, which asks scikit-learn. What only one recording has keeps its figure."""
    rng = np.random.default_rng(1)
    groups = [f"r{number // 10}" for number in range(120)]
    targets = rng.integers(0, 2, (120, 3))
    targets[:, 2] = np.arange(120) < 2
    scores = 0.3 * targets + rng.random((120, 3))
    found = multilabel_estimates(targets, scores, clusters_of(groups, 120, "recording"))
    rare = average_precision_score(targets[:, 2], scores[:, 2]), roc_auc_score(targets[:, 2], scores[:, 2])
    for place, name in enumerate(sorted(set(groups))):
        kept = np.array(groups) != name
        for measure, each, last in zip(("map", "auroc"), (average_precision_score, roc_auc_score), rare, strict=True):
            own = [each(targets[kept, c], scores[kept, c]) for c in range(3 if name != "r0" else 2)]
            assert found[measure].without[place] == pytest.approx(np.mean([*own, last][:3]))
    metrics = multilabel_metrics(targets, scores, groups)
    assert (metrics["map"].num_clusters, metrics["map"].cluster) == (12, "speaker")
    assert multilabel_metrics(targets, scores)["map"].low != metrics["map"].low


def test_it_does_not_depend_on_the_order_of_the_items() -> None:
    rng = np.random.default_rng(2)
    targets, scores = rng.integers(0, 2, (40, 3)), rng.integers(0, 5, (40, 3)) / 5
    order = rng.permutation(40)
    first, again = multilabel_metrics(targets, scores), multilabel_metrics(targets[order], scores[order])
    assert first["map"].value == pytest.approx(again["map"].value)
    assert first["auroc"].value == pytest.approx(again["auroc"].value)


@pytest.mark.parametrize(
    ("targets", "scores", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), r"\(3, 1\) scores for \(3, 2\) targets"),
        (np.zeros((0, 2)), np.zeros((0, 2)), r"must be \(N, C\)"),
        (np.zeros((2, 1)), np.array([[np.nan], [0.0]]), "finite"),
    ],
)
def test_wrong_shapes(targets: np.ndarray, scores: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        multilabel_metrics(targets, scores)
