"""Label-fraction curves: what runs reach with more and more of the training rows (`sweep.subset`), as charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from audiossl.data.subsets import read_amount
from audiossl.metrics.formatting import scaled, with_unit
from audiossl.report.figures import Growth, growth_figure
from audiossl.report.runs import Evaluation, RunSummary
from audiossl.report.summary import metric_names, upstream_written


class _Grown(NamedTuple):
    """A run on a part of its training rows, what stands for it, and the share (in %) or the minutes that it has."""

    run: RunSummary
    evaluation: Evaluation
    amount: float
    unit: str


def growth_charts(runs: Sequence[RunSummary]) -> Iterator[tuple[str, str]]:
    """A chart for each task, split and unit of amount of which there are at least two amounts, as SVG and caption.

    Runs of one encoder and interface below one folder share a line.
    """
    grown = [found for run in runs if (found := _grown(run))]
    kinds = dict.fromkeys((each.run.downstream, each.evaluation.split, each.unit) for each in grown)
    for task, split, unit in kinds:
        mine = [one for one in grown if (one.run.downstream, one.evaluation.split, one.unit) == (task, split, unit)]
        names = metric_names(each.evaluation for each in mine)
        name = next((each.evaluation.monitor for each in mine if each.evaluation.monitor in names), names[0])
        mine = [each for each in mine if name in each.evaluation.metrics]
        if len({each.amount for each in mine}) > 1:
            caption = f"{task}, {split} split, by how much of the training rows is used"
            yield growth_figure(list(_lines(mine, name)), unit, with_unit(name)), caption


def _grown(run: RunSummary) -> _Grown | None:
    written = str((run.config.get("data") or {}).get("subset") or "")
    if not written or run.best_evaluation is None or not run.best_evaluation.metrics:
        return None
    amount = read_amount(written, "data.subset")
    if amount.share is not None:
        return _Grown(run, run.best_evaluation, 100 * amount.share, "training rows (%)")
    return _Grown(run, run.best_evaluation, (amount.seconds or 0.0) / 60, "training rows (minutes)")


def _lines(grown: Sequence[_Grown], name: str) -> Iterator[Growth]:
    """A line for each encoder, interface and folder."""
    groups: dict[tuple[object, ...], list[_Grown]] = {}
    for each in grown:
        groups.setdefault((each.run.path.parent, upstream_written(each.run), each.run.interface), []).append(each)
    for number, ((_, upstream, interface), members) in enumerate(groups.items()):
        dots = []
        for each in members:
            metric = each.evaluation.metrics[name]
            low, high = (None if bound is None else scaled(name, bound) for bound in (metric.low, metric.high))
            dots.append((each.amount, scaled(name, metric.value), low, high))
        yield Growth(f"{upstream}, {interface}", dots, number)
