"""Runs against the first one of their task, on the items that both were evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.metrics.classification import classification_estimates, classified_clusters
from audiossl.metrics.clusters import Clusters, clusters_of_rows
from audiossl.metrics.formatting import PERCENT, clusters_written, scaled
from audiossl.metrics.jackknife import Difference, Estimate, difference_of
from audiossl.metrics.multilabel import multilabel_estimates
from audiossl.metrics.ratios import paired_difference
from audiossl.metrics.verification import sides_of, speakers_of, verification_estimates
from audiossl.report.runs import Evaluation, RunSummary

Row = dict[str, Any]
_CALLED = {"ua": "uar", "wa": "accuracy"}  # what a task calls them, and what they are
_OF_WINDOWS = ("map", "auroc")


class Comparison(NamedTuple):
    """A run against the first one on the items that both were evaluated on.

    difference: None where there are no such items.
    measure: what it is a difference of: the metric by which the task chooses, or the accuracy where that one cannot be
        computed from predictions.
    """

    run: str
    baseline: str
    split: str
    num_items: int
    difference: Difference | None
    remark: str = ""
    measure: str = "accuracy"

    @property
    def cells(self) -> dict[str, str]:
        """Difference, interval, p-value and clusters as the page prints them. '' where there are none."""
        found = self.difference
        if found is None:
            return {"difference": "-", "interval": "", "p_value": "-", "clusters": "-"}
        low, high = (None if bound is None else signed(self.measure, bound) for bound in (found.low, found.high))
        return {
            "difference": signed(self.measure, found.value),
            "interval": "" if low is None else f"[{low}, {high}]",
            "p_value": "-" if found.p_value is None else f"{found.p_value:.3g}",
            "clusters": clusters_written(found.num_clusters or 0, found.cluster),
        }


def signed(name: str, value: float) -> str:
    """A difference in the unit of `with_unit`, with its sign."""
    return f"{scaled(name, value):+.1f}" if name in PERCENT else f"{value:+.4g}"


def comparisons(runs: Sequence[RunSummary]) -> list[Comparison]:
    """Paired difference of each run to the first one of the same task and split that has predictions."""
    baselines: dict[tuple[str, str], tuple[RunSummary, Evaluation]] = {}
    rows = []
    for run in runs:
        for evaluation in run.evaluations.values():
            if not evaluation.comparable():
                continue
            key = (run.downstream, evaluation.split)
            if key in baselines:
                rows.append(compare(run, evaluation, *baselines[key]))
            else:
                baselines[key] = (run, evaluation)
    return rows


def compare(run: RunSummary, evaluation: Evaluation, baseline: RunSummary, reference: Evaluation) -> Comparison:
    """The monitored metric of a run minus that of the baseline, on the items of both.

    run: the run.
    evaluation: of it.
    baseline: what it is compared with.
    reference: the evaluation of that, of the same split.
    """
    mine, theirs = evaluation.comparable(), reference.comparable()
    pairs = [(row, theirs[name]) for name, row in mine.items() if name in theirs]
    made = Comparison(run.name, baseline.name, evaluation.split, len(pairs), None)
    if not pairs:
        return made._replace(remark="no item is in both")
    if any(one["target"] != other["target"] for one, other in pairs):
        return made._replace(remark="the two disagree on what is right")
    left_out = len(mine.keys() | theirs.keys()) - len(pairs)
    ours, others = [one for one, _ in pairs], [other for _, other in pairs]
    measure, difference, remark = _difference(ours, others, evaluation)
    remarks = [remark, f"{left_out} items are in one of the two only" if left_out else ""]
    remarks += [difference.remark] if difference else []
    return made._replace(measure=measure, difference=difference, remark="; ".join(filter(None, remarks)))


def is_right(row: Row) -> bool:
    """Whether a prediction is what was asked for."""
    return bool(row["target"] == row["predicted"])


def _difference(
    ours: Sequence[Row], theirs: Sequence[Row], evaluation: Evaluation
) -> tuple[str, Difference | None, str]:
    """(measure, first minus second, why there is none) of two systems' predictions of the same items.

    ours, theirs: the predictions.
    evaluation: of the first system. It says by which metric its task chooses.
    """
    every, measure = [*ours, *theirs], evaluation.monitor
    if all("num_errors" in row for row in every):
        units = [float(row["num_units"]) for row in ours]
        measure = measure if measure in ("wer", "per") else "error rate"
        if not sum(units):
            return measure, None, "no item has a unit to be wrong about"
        ours_wrong, theirs_wrong = ([float(row["num_errors"]) for row in rows] for rows in (ours, theirs))
        clusters = clusters_of_rows(ours, evaluation.cluster)
        return measure, paired_difference(ours_wrong, theirs_wrong, clusters, units=units), ""
    if any("predicted" not in row for row in every):
        if any("predicted" in row for row in every):
            return "accuracy", None, "one has trials and the other has not"
        return _difference_of_trials(ours, theirs, measure)
    if all(isinstance(row["target"], str) and isinstance(row["predicted"], str) for row in every):
        return _difference_of_labels(ours, theirs, evaluation)
    if measure in _OF_WINDOWS and all(isinstance(row.get("scores"), list) for row in every):
        clusters = clusters_of_rows(ours, evaluation.cluster)
        found = [_of_windows(rows, evaluation.labels, clusters) for rows in (ours, theirs)]
        return measure, difference_of(found[0][measure], found[1][measure], clusters), ""
    ours_right, theirs_right = ([is_right(row) for row in rows] for rows in (ours, theirs))
    return "accuracy", paired_difference(ours_right, theirs_right, clusters_of_rows(ours, evaluation.cluster)), ""


def _difference_of_labels(
    ours: Sequence[Row], theirs: Sequence[Row], evaluation: Evaluation
) -> tuple[str, Difference | None, str]:
    targets = [str(row["target"]) for row in ours]
    clusters = classified_clusters(targets, clusters_of_rows(ours, evaluation.cluster))
    found = [
        classification_estimates(targets, [str(row["predicted"]) for row in rows], clusters) for rows in (ours, theirs)
    ]
    measure = _CALLED.get(evaluation.monitor, evaluation.monitor)
    known = measure in found[0]
    first, second = (each[measure if known else "accuracy"] for each in found)
    apart = [one["predicted"] != other["predicted"] for one, other in zip(ours, theirs, strict=True)]
    num_apart = len(set(clusters.of[np.array(apart)].tolist()))
    found_difference = difference_of(first, second, clusters, num_apart=num_apart)
    return evaluation.monitor if known else "accuracy", found_difference, ""


def _difference_of_trials(
    ours: Sequence[Row], theirs: Sequence[Row], measure: str
) -> tuple[str, Difference | None, str]:
    sides, targets = sides_of(ours), [row["target"] for row in ours]
    try:
        found = [
            verification_estimates([row["score"] for row in rows], targets, sides, _ratios_of(rows))
            for rows in (ours, theirs)
        ]
    except LabelError:
        return measure or "eer", None, "the trials of both are all of one kind"
    name = measure if all(measure in each for each in found) else "eer"
    return name, difference_of(found[0][name], found[1][name], speakers_of(sides)), ""


def _ratios_of(rows: Sequence[Row]) -> list[float] | None:
    """Log-likelihood ratios, None where one trial has none."""
    found = [row.get("llr") for row in rows]
    return None if None in found else [float(ratio) for ratio in found if ratio is not None]


def _of_windows(rows: Sequence[Row], labels: Sequence[str], clusters: Clusters) -> dict[str, Estimate]:
    targets = np.array([[label in row["target"] for label in labels] for row in rows], dtype=np.int64)
    return multilabel_estimates(targets, np.array([row["scores"] for row in rows], dtype=np.float64), clusters)
