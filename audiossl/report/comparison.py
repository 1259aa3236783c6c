"""Runs against the first one of their task, on the items that both were evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from audiossl.core.errors import LabelError
from audiossl.metrics.formatting import PERCENT, clusters_written, scaled
from audiossl.metrics.frame_labels import same_targets
from audiossl.metrics.jackknife import Difference
from audiossl.report.estimates import Row, paired, scored_together
from audiossl.report.runs import Evaluation, RunSummary


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
    if not all(same_targets(pair) for pair in pairs):
        return made._replace(remark="the two disagree on what is right")
    left_out = len(mine.keys() | theirs.keys()) - len(pairs)
    ours, others = [one for one, _ in pairs], [other for _, other in pairs]
    measure, difference, remark = _difference(ours, others, evaluation)
    remarks = [remark, f"{left_out} items are in one of the two only" if left_out else ""]
    remarks += [_steps(*pairs[0])] + ([difference.remark] if difference else [])
    return made._replace(measure=measure, difference=difference, remark="; ".join(filter(None, remarks)))


def _steps(one: Row, other: Row) -> str:
    """What two systems differ in that are scored on frames of their own. '' where it is nothing."""
    found = [float(row["step_s"]) for row in (one, other) if "step_s" in row]
    if len(set(found)) < 2:
        return ""
    return "frames of {:g} and {:g} ms".format(*(round(1000 * step, 3) for step in found))


def _difference(
    ours: Sequence[Row], theirs: Sequence[Row], evaluation: Evaluation
) -> tuple[str, Difference | None, str]:
    """(measure, first minus second, why there is none) of two systems' predictions of the same items.

    ours, theirs: the predictions.
    evaluation: of the first system. It says by which metric its task chooses.
    """
    try:
        first, second = scored_together([ours, theirs], evaluation.monitor, evaluation.labels, evaluation.cluster)
    except LabelError as error:
        return evaluation.monitor or ("accuracy" if "predicted" in ours[0] else "eer"), None, str(error)
    return first.measure, paired(first, second), ""
