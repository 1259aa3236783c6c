"""A metric estimated from predictions: its value, and what it is without each speaker, recording or item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.metrics.classification import classification_estimates, classified_clusters
from audiossl.metrics.clusters import Clusters, clusters_of_rows
from audiossl.metrics.frame_labels import FRAME_ERRORS
from audiossl.metrics.jackknife import Difference, Estimate, difference_of, mean_of
from audiossl.metrics.multilabel import multilabel_estimates
from audiossl.metrics.ratios import ratio_estimate
from audiossl.metrics.sound_events import EVENT_METRICS, event_estimates
from audiossl.metrics.verification import sides_of, speakers_of, verification_estimates

Row = dict[str, Any]
_CALLED = {"ua": "uar", "wa": "accuracy"}  # what a task calls them, and what they are
_OF_WINDOWS = ("map", "auroc")


class Scored(NamedTuple):
    """What one system's predictions come to.

    measure: which metric it is: the one that was asked for, or the next best that predictions tell.
    estimate: of it.
    clusters: of the items, or of both sides of the trials.
    marks: (N,) what each item got. Two systems differ on the items whose marks differ. None for trials and windows,
        and for systems that were scored on other frames of the items.
    """

    measure: str
    estimate: Estimate
    clusters: Clusters
    marks: np.ndarray | None = None


def scored_together(
    systems: Sequence[Sequence[Row]], metric: str, labels: Sequence[str] = (), cluster: str = "speaker"
) -> list[Scored]:
    """`scored` of several systems on the same items, by one metric for all.

    systems: the predictions of each.
    metric, labels, cluster: as there.
    Raises LabelError where no metric is defined on the rows of all.
    """
    every = [row for rows in systems for row in rows]
    if any("num_errors" in row for row in every) and not all("num_errors" in row for row in every):
        systems = [[{**row, "num_errors": None} for row in rows] for rows in systems]
    if len({"predicted" in row for row in every}) == 2:
        raise LabelError("one has trials and the other has not")
    found = [scored(rows, metric, labels, cluster) for rows in systems]
    if len({each.measure for each in found}) > 1:
        found = [scored(rows, "", labels, cluster) for rows in systems]
    # Of other numbers of frames, equal errors are no equal ratios.
    if len({tuple(row.get("num_units") for row in rows) for rows in systems}) > 1:
        found = [each._replace(marks=None) for each in found]
    return found


def scored(rows: Sequence[Row], metric: str, labels: Sequence[str] = (), cluster: str = "speaker") -> Scored:
    """The metric of predictions whose targets are known, or another one where these predictions do not tell it.

    rows: the predictions, at least one.
    metric: the one by which the task chooses, '' where that is not known.
    labels: all C classes of a task whose items have any number of them.
    cluster: what a group of items is called.
    Raises LabelError where the metric is not defined on these rows. Its text is a clause without a full stop.
    """
    if all(row.get("counts") is not None for row in rows):
        return _scored_events(rows, metric, cluster)
    if all(row.get("num_errors") is not None for row in rows):
        return _scored_errors(rows, metric, cluster)
    if "predicted" not in rows[0]:
        return _scored_trials(rows, metric)
    if all(isinstance(row["target"], str) and isinstance(row["predicted"], str) for row in rows):
        return _scored_labels(rows, metric, cluster)
    clusters = clusters_of_rows(rows, cluster)
    if metric in _OF_WINDOWS and all(isinstance(row.get("scores"), list) for row in rows):
        targets = np.array([[label in row["target"] for label in labels] for row in rows], dtype=np.int64)
        scores = np.array([row["scores"] for row in rows], dtype=np.float64)
        return Scored(metric, multilabel_estimates(targets, scores, clusters)[metric], clusters)
    right = np.array([is_right(row) for row in rows], dtype=np.float64)
    return Scored("accuracy", ratio_estimate(right, np.ones_like(right), clusters), clusters, right)


def average_run(runs: Sequence[Scored]) -> Scored:
    """The mean over training seeds, on the same items. Raises ValueError for runs on other items."""
    marks = [run.marks for run in runs if run.marks is not None]
    together = None
    if len(marks) == len(runs):
        # Numbers are averaged. Labels are kept side by side.
        texts = marks[0].dtype.kind not in "fi"
        together = np.array(["\0".join(each) for each in zip(*marks, strict=True)]) if texts else np.mean(marks, axis=0)
    return runs[0]._replace(estimate=mean_of([run.estimate for run in runs]), marks=together)


def paired(first: Scored, second: Scored) -> Difference:
    """The first system minus the second one, on the same items."""
    clusters, num_apart = first.clusters, None
    if first.marks is not None and second.marks is not None and first.marks.dtype.kind == second.marks.dtype.kind:
        if first.marks.dtype.kind in "fi":
            num_apart = int((clusters.sums(first.marks - second.marks) != 0).sum())
        else:
            num_apart = len(set(clusters.of[first.marks != second.marks].tolist()))
    return difference_of(first.estimate, second.estimate, clusters, num_apart=num_apart)


def is_right(row: Row) -> bool:
    """Whether a prediction is what was asked for."""
    return bool(row["target"] == row["predicted"])


def _scored_errors(rows: Sequence[Row], metric: str, cluster: str) -> Scored:
    units, wrong = (np.array([float(row[name]) for row in rows]) for name in ("num_units", "num_errors"))
    if not units.sum():
        raise LabelError("no item has a unit to be wrong about")
    clusters = clusters_of_rows(rows, cluster)
    measure = metric if metric in ("wer", "per") else str(rows[0].get("measure", "error rate"))
    if metric == "accuracy" and measure == FRAME_ERRORS:
        right = ratio_estimate(units - wrong, units, clusters)
        return Scored(metric, right._replace(scale="share"), clusters, wrong)
    return Scored(measure, ratio_estimate(wrong, units, clusters), clusters, wrong)


def _scored_events(rows: Sequence[Row], metric: str, cluster: str) -> Scored:
    counts = np.array([row["counts"] for row in rows], dtype=np.int64)
    if counts.ndim != 3 or not counts[..., 0].any():
        raise LabelError("no item has an event")
    clusters = clusters_of_rows(rows, cluster)
    measure = metric if metric in EVENT_METRICS else EVENT_METRICS[0]
    return Scored(measure, event_estimates(counts, clusters)[measure], clusters)


def _scored_labels(rows: Sequence[Row], metric: str, cluster: str) -> Scored:
    targets, predicted = ([str(row[name]) for row in rows] for name in ("target", "predicted"))
    clusters = classified_clusters(targets, clusters_of_rows(rows, cluster))
    found = classification_estimates(targets, predicted, clusters)
    known = _CALLED.get(metric, metric)
    measure = metric if known in found else "accuracy"
    return Scored(measure, found[known if known in found else "accuracy"], clusters, np.array(predicted))


def _scored_trials(rows: Sequence[Row], metric: str) -> Scored:
    sides, ratios = sides_of(rows), [row.get("llr") for row in rows]
    known = [float(ratio) for ratio in ratios if ratio is not None]
    try:
        found = verification_estimates(
            [row["score"] for row in rows],
            [row["target"] for row in rows],
            sides,
            known if len(known) == len(ratios) else None,
        )
    except LabelError as error:
        raise LabelError("the trials of both are all of one kind") from error
    name = metric if metric in found else "eer"
    return Scored(name, found[name], speakers_of(sides))
