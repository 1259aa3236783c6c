"""Figures of stored predictions with several targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.core.types import Cell, Metric, Table
from audiossl.downstreams.multi_task.head import TargetHead
from audiossl.metrics.clusters import Clusters, clusters_of_rows
from audiossl.metrics.formatting import intervals_note, with_unit, written
from audiossl.metrics.jackknife import Estimate, metric_of
from audiossl.training.task import Prediction


class Known(NamedTuple):
    """The rows that have a target.

    head: of the target.
    targets, predicted: (N,) of these rows.
    rows: themselves.
    clusters: of them, as metrics of this target alone take them.
    """

    head: TargetHead[Any]
    targets: list[Any]
    predicted: list[Any]
    rows: list[Prediction]
    clusters: Clusters


class TargetScores:
    """Figures by target, and their mean.

    heads: of the targets.
    predictions: stored rows.
    rows: those with any target.
    Raises LabelError where no row has one.
    """

    def __init__(self, heads: Sequence[TargetHead[Any]], predictions: Sequence[Prediction]) -> None:
        self.rows = [row for row in predictions if row["target"] is not None]
        if not self.rows:
            raise LabelError(f"None of the {len(predictions)} predictions has a target, so there is nothing to score.")
        self.known = [found for head in heads if (found := _known(head, self.rows))]

    def by_target(self) -> dict[str, Metric]:
        """`<target>.<figure>`, of the rows that have the target."""
        return {
            f"{each.head.name}.{name}": metric
            for each in self.known
            for name, metric in each.head.metrics(each.targets, each.predicted, each.clusters).items()
        }

    def mean(self, figure: str = "", called: str = "mean") -> dict[str, Metric]:
        """The mean over targets of one figure, or of the main one of each, with the interval of the mean.

        figure: of each target that has it. '' for the main ones.
        called: what it is called.
        """
        found, missing = self.mean_estimate(figure)
        if found is None:
            return {}
        clusters = clusters_of_rows(self.rows)
        note = f"without {', '.join(missing)}, where it is undefined" if missing else ""
        noted = clusters._replace(remark="; ".join(filter(None, [clusters.remark, note])))
        return {called: metric_of(found, noted)}

    def mean_estimate(self, figure: str = "") -> tuple[Estimate | None, list[str]]:
        """The same mean with what it is without each cluster, None for none, and the targets where it is undefined."""
        clusters = clusters_of_rows(self.rows)
        made: list[Estimate] = []
        missing: list[str] = []
        for each in self.known:
            name = figure or each.head.main
            found = estimate_among(each, name, self.rows, clusters)
            if found is None:
                missing.append(each.head.name)
            else:
                made.append(found)
        if not made:
            return None, missing
        value = float(np.mean([each.value for each in made]))
        return Estimate(value, np.mean([each.without for each in made], axis=0)), missing


def figures_table(scores: TargetScores) -> Table:
    """A line for each target and figure."""
    found = scores.by_target()
    lines: list[list[Cell]] = []
    for each in scores.known:
        for name in each.head.metrics(each.targets, each.predicted, each.clusters):
            metric = found[f"{each.head.name}.{name}"]
            interval = "" if metric.low is None else f"{written(name, metric.low)} to {written(name, metric.high)}"
            lines.append([each.head.name, len(each.rows), with_unit(name), written(name, metric.value), interval])
    header = ["target", "rows that have it", "figure", "value", "95 % interval"]
    return Table("Targets", header, lines, intervals_note(found))


def _known(head: TargetHead[Any], rows: Sequence[Prediction]) -> Known | None:
    kept = [row for row in rows if row["target"].get(head.name) is not None]
    if not kept:
        return None
    targets = [row["target"][head.name] for row in kept]
    return Known(head, targets, [row["predicted"][head.name] for row in kept], kept, clusters_of_rows(kept))


def estimate_among(known: Known, figure: str, rows: Sequence[Prediction], clusters: Clusters) -> Estimate | None:
    """A figure of one target, and what it is without each cluster of all rows. One that lacks it moves nothing.

    known: the rows that have the target.
    figure: its name.
    rows: all of them.
    clusters: of all rows.
    None where the figure is undefined.
    """
    place = np.array([(row["target"] or {}).get(known.head.name) is not None for row in rows])
    members, of = np.unique(clusters.of[place], return_inverse=True)
    found = known.head.estimates(known.targets, known.predicted, Clusters(of, clusters.kind)).get(figure)
    if found is None:
        return None
    without = np.full(clusters.num, found.value)
    without[members] = found.without
    return Estimate(found.value, without)
