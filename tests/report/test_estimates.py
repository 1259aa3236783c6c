"""What predictions come to, by the metric of their task, and how two systems differ in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiossl.core.errors import LabelError
from audiossl.metrics.classification import classification_metrics
from audiossl.metrics.jackknife import metric_of
from audiossl.metrics.ratios import across_seeds, paired_difference, score_ratio
from audiossl.report.estimates import average_run, paired, scored, scored_together

Rows = list[dict[str, Any]]
SPEAKERS = [f"s{number // 5}" for number in range(40)]


def labelled(num_wrong: int) -> Rows:
    targets = ["ab"[number % 2] for number in range(40)]
    guesses = ["c" if number < num_wrong else target for number, target in enumerate(targets)]
    pairs = zip(targets, guesses, SPEAKERS, strict=True)
    return [{"id": str(n), "target": t, "predicted": g, "speaker": s} for n, (t, g, s) in enumerate(pairs)]


def counted(errors: list[int]) -> Rows:
    return [
        {"id": str(n), "target": "x", "predicted": "y", "num_errors": wrong, "num_units": 4, "speaker": SPEAKERS[n]}
        for n, wrong in enumerate(errors)
    ]


@pytest.mark.parametrize(("asked", "called"), [("ua", "uar"), ("wa", "accuracy"), ("f1", "f1"), ("uar", "uar")])
def test_labels_are_estimated_as_the_task_scores_them(asked: str, called: str) -> None:
    rows = labelled(9)
    found = scored(rows, asked)
    expected = classification_metrics([r["target"] for r in rows], [r["predicted"] for r in rows], SPEAKERS)[called]
    assert found.measure == asked
    assert metric_of(found.estimate, found.clusters)[:5] == pytest.approx(expected[:5])


def test_counts_make_an_error_rate_over_all_units() -> None:
    errors = [number % 3 for number in range(40)]
    found = scored(counted(errors), "wer")
    assert metric_of(found.estimate, found.clusters) == score_ratio(errors, [4] * 40, SPEAKERS)
    assert scored(counted(errors), "f1").measure == "error rate"


def test_a_metric_that_predictions_do_not_tell_becomes_the_accuracy() -> None:
    assert scored(labelled(3), "mtwv").measure == "accuracy"
    assert scored([{**row, "target": [row["target"]]} for row in labelled(3)], "map").measure == "accuracy"


def test_one_metric_is_found_for_all_systems() -> None:
    texts, lists = labelled(3), [{**row, "target": [row["target"]]} for row in labelled(3)]
    assert [each.measure for each in scored_together([texts, lists], "uar")] == ["accuracy", "accuracy"]
    assert scored_together([counted([1] * 40), labelled(2)], "wer")[0].measure == "accuracy"
    with pytest.raises(LabelError, match="trials"):
        scored_together([texts, [{"id": "a b", "target": 1, "enrol": "a", "test": "b", "score": 0.1}]], "eer")


def test_the_average_run_has_the_interval_of_the_test_set() -> None:
    runs = [counted([1] * 20 + [0] * 20), counted([0] * 10 + [1] * 30)]
    found = average_run([scored(rows, "wer") for rows in runs])
    errors = np.array([[row["num_errors"] for row in rows] for rows in runs])
    assert found.estimate.value == pytest.approx(errors.mean() / 4)
    right = [[row["target"] == row["predicted"] for row in labelled(wrong)] for wrong in (3, 9)]
    mean = average_run([scored(labelled(wrong), "accuracy") for wrong in (3, 9)])
    assert metric_of(mean.estimate, mean.clusters)[:5] == pytest.approx(across_seeds(right, SPEAKERS)[:5])


def test_systems_are_paired_by_item() -> None:
    first, second = [1] * 15 + [0] * 25, [0] * 40
    found = paired(scored(counted(first), "wer"), scored(counted(second), "wer"))
    assert found == paired_difference(first, second, SPEAKERS, units=[4] * 40)


def test_a_p_value_is_no_sharper_than_the_clusters_that_differ() -> None:
    """Three speakers who all get better: of 8 clusters the others are alike, so 3 signs decide."""
    found = paired(scored(labelled(15), "accuracy"), scored(labelled(0), "accuracy"))
    assert found.p_value is not None and found.p_value >= 0.25
    twice = average_run([scored(labelled(15), "accuracy")] * 2)
    assert paired(twice, average_run([scored(labelled(0), "accuracy")] * 2)).p_value == found.p_value


def test_systems_that_find_events_differ_by_f1() -> None:
    def rows(hits: int) -> Rows:
        counts = [[[4, 5, hits, hits - 1, 6, 6, 5], [0, n % 2, 0, 0, 0, 1, 0]] for n in range(8)]
        return [{"id": str(n), "target": [], "counts": each, "group": f"r{n}"} for n, each in enumerate(counts)]

    first, second = scored_together([rows(4), rows(3)], "map", cluster="recording")
    assert (first.measure, first.estimate.value) == ("overlap_f1", pytest.approx(2 * 3 / 9))
    assert paired(first, second).value == pytest.approx(2 / 9)
    assert scored(rows(4), "onset_f1_micro", cluster="recording").estimate.value == pytest.approx(64 / 76)
    with pytest.raises(LabelError, match="no item has an event"):
        scored([{**row, "counts": [[0] * 7]} for row in rows(4)], "overlap_f1")
