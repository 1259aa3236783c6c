"""Runs against the first one of their task, on the items that both were evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from audiossl.core.errors import LabelError
from audiossl.metrics.bootstrap import Difference, paired_bootstrap
from audiossl.metrics.verification import paired_eer, sides_of
from audiossl.report.runs import Evaluation, RunSummary
from audiossl.training.task import drawn_group

Row = dict[str, Any]


class Comparison(NamedTuple):
    """A run against the first one on the items that both were evaluated on.

    difference: None where there are no such items.
    measure: what it is a difference of, in shares of 1: the accuracy, the error rate (errors over words, ...), or the
        equal error rate of trials.
    """

    run: str
    baseline: str
    split: str
    num_items: int
    difference: Difference | None
    remark: str = ""
    measure: str = "accuracy"


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
    """Accuracy (or error rate, or EER) of a run minus that of the baseline, on the items of both.

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
    measure, difference, remark = _difference([one for one, _ in pairs], [other for _, other in pairs])
    if not remark and left_out:
        remark = f"{left_out} items are in one of the two only"
    return made._replace(measure=measure, difference=difference, remark=remark)


def is_right(row: Row) -> bool:
    """Whether a prediction is what was asked for."""
    return bool(row["target"] == row["predicted"])


def _difference(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[str, Difference | None, str]:
    """(measure, first minus second, why there is none) of two systems' predictions of the same items."""
    speakers = [drawn_group(row) for row in ours]
    every = [*ours, *theirs]
    if all("num_errors" in row for row in every):
        units = [float(row["num_units"]) for row in ours]
        if not sum(units):
            return "error rate", None, "no item has a unit to be wrong about"
        ours_wrong, theirs_wrong = ([float(row["num_errors"]) for row in rows] for rows in (ours, theirs))
        return "error rate", paired_bootstrap(ours_wrong, theirs_wrong, speakers, units=units), ""
    if all("predicted" in row for row in every):
        ours_right, theirs_right = ([is_right(row) for row in rows] for rows in (ours, theirs))
        return "accuracy", paired_bootstrap(ours_right, theirs_right, speakers), ""
    if any("predicted" in row for row in every):
        return "accuracy", None, "one has trials and the other has not"
    first, second = ([row["score"] for row in rows] for rows in (ours, theirs))
    try:
        return "EER", paired_eer(first, second, [row["target"] for row in ours], sides_of(ours)), ""
    except LabelError:
        return "EER", None, "the trials of both are all of one kind"
