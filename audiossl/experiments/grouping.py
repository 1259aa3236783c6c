"""The figures of each group of a split's items, such as women and men, and the gap between the best and the worst.

Groups are values of a column of the manifest. They are made when predictions are scored, so that those of a finished
run are grouped without predicting again (`audiossl evaluate RUN --stored report.by=[sex]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.core.files import read_json
from audiossl.core.types import Cell, Metric, Table, metrics_as_json
from audiossl.data.fields import read_field, rows_without
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFolder
from audiossl.metrics.clusters import Clusters, Ints, clusters_of_rows
from audiossl.metrics.formatting import FEW_CLUSTERS, cells_written, clusters_written, interval_written, written
from audiossl.metrics.groups import Gap, gap_between, has_enough
from audiossl.metrics.jackknife import no_intervals
from audiossl.training.task import Monitor, Prediction

_MOST_GROUPS = 50  # a column of more values is a name, and no group


class RowScorer(Protocol):
    """What scores predictions: a task, or what of one needs no encoder."""

    @property
    def monitor(self) -> Monitor: ...
    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]: ...


class Group(NamedTuple):
    """The items with one value of a column.

    metrics: by name. Without an interval where there are too few clusters for a claim.
    num_clusters: how many speakers, for instance.
    """

    value: str
    num_items: int
    num_clusters: int
    metrics: dict[str, Metric]


class Grouped(NamedTuple):
    """What metrics.json and the report say of columns."""

    facts: dict[str, Any]
    tables: list[Table]


def grouped_by(config: Experiment, task: RowScorer, split: str, predictions: Sequence[Prediction]) -> Grouped:
    """The groups of `report.by`, nothing where it names no column.

    config: of the run.
    task: what scores predictions.
    split: what they are of.
    predictions: the rows that are scored.
    Raises LabelError for a column that rows lack, that has a single value or too many, and for predictions that are not
    named like items.
    """
    facts: dict[str, Any] = {}
    tables = []
    columns = _columns(config, split, predictions) if config.report.by else {}
    for column, values in columns.items():
        groups, gap, kind = _score_groups(task, predictions, values)
        facts[column] = _as_json(task.monitor.name, groups, gap, kind)
        tables.append(_table(task.monitor.name, column, groups, gap, kind))
    return Grouped({"groups": facts} if facts else {}, tables)


def _columns(config: Experiment, split: str, predictions: Sequence[Prediction]) -> dict[str, list[str]]:
    """The value of each prediction's item by column."""
    name = "all" if config.folds.by and split == "test" else split
    where = str(config.data.path(name))
    wanted = {str(row["id"]) for row in predictions}
    cuts = {cut.id: cut for cut in config.data.rows(name) if cut.id in wanted}
    if missing := sorted(wanted - cuts.keys()):
        raise LabelError(
            f"report.by groups items, and {len(missing)} of {len(wanted)} predictions, the first {missing[0]!r}, are "
            f"named like no row of {where}; leave it out for a task that scores pairs or windows."
        )
    found = {}
    for column in config.report.by:
        if lacking := rows_without(cuts.values(), column, where):
            raise LabelError(f"{lacking}; fill it in, or leave the column out of report.by.")
        values = [str(read_field(cuts[str(row["id"])], column)) for row in predictions]
        if not 2 <= len(set(values)) <= _MOST_GROUPS:
            raise LabelError(
                f"The column {column!r} of {where} has {len(set(values))} value(s), and groups are 2 to "
                f"{_MOST_GROUPS}; leave it out of report.by."
            )
        found[column] = values
    return found


def _score_groups(
    task: RowScorer, predictions: Sequence[Prediction], values: Sequence[str]
) -> tuple[list[Group], Gap | None, str]:
    """Groups in the order of their names, the gap, and of what the clusters are."""
    numbers = {value: np.flatnonzero(np.array(values) == value) for value in sorted(set(values))}
    clusters = _clusters(task, predictions, values)
    groups = [_group(task, predictions, value, items, clusters) for value, items in numbers.items()]
    name = task.monitor.name

    def figure(items: Ints) -> float:
        return task.score([predictions[item] for item in items])[name].value

    with no_intervals():
        gap = gap_between(figure, numbers, clusters, task.monitor.mode)
    return groups, gap, clusters.kind


def _clusters(task: RowScorer, predictions: Sequence[Prediction], values: Sequence[str]) -> Clusters:
    """Those of the predictions, or items where every group is one of them: then nothing is said of other speakers."""
    # What they are, the task says with its figure.
    kind = task.score(predictions)[task.monitor.name].cluster
    clusters = clusters_of_rows(predictions, kind if kind not in ("", "item") else "speaker")
    if len({*zip(values, clusters.of.tolist(), strict=True)}) == len(set(values)):
        return clusters.as_items("")
    return clusters


def _group(task: RowScorer, predictions: Sequence[Prediction], value: str, items: Ints, clusters: Clusters) -> Group:
    rows, num_clusters = [predictions[item] for item in items], len(np.unique(clusters.of[items]))
    try:
        metrics = task.score(rows)
    except (LabelError, ValueError):
        metrics = {}  # a group of which no item has a target
    if not has_enough(items, clusters):
        few = f"{clusters_written(num_clusters, clusters.kind)}, of which {FEW_CLUSTERS} are the least for a claim"
        metrics = {name: metric._replace(low=None, high=None, remark=few) for name, metric in metrics.items()}
    return Group(value, len(rows), num_clusters, metrics)


def _as_json(monitor: str, groups: Sequence[Group], gap: Gap | None, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        group.value: {
            "num_items": group.num_items,
            "num_clusters": group.num_clusters,
            "metrics": metrics_as_json(group.metrics),
        }
        for group in groups
    }
    said = None
    if gap:
        said = {"best": gap.best, "worst": gap.worst, "num_pairs": gap.num_pairs, **gap.difference._asdict()}
    return {"metric": monitor, "cluster": kind, "groups": made, "gap": said, "remark": "" if gap else _no_gap(kind)}


def _table(monitor: str, column: str, groups: Sequence[Group], gap: Gap | None, kind: str) -> Table:
    rows: list[list[Cell]] = []
    for group in groups:
        sizes: list[Cell] = [group.value, group.num_items, group.num_clusters]
        metric = group.metrics.get(monitor)
        rows.append([*sizes, *(cells_written(monitor, metric)[1:] if metric else ("", ""))])
    title = cells_written(monitor, Metric(0.0))[0]
    header = [column, "items", f"{kind}s", title, "95 % interval"]
    return Table(_title(column), header, rows, " ".join([gap_sentence(monitor, gap, kind), *_remarks(groups, kind)]))


def _remarks(groups: Sequence[Group], kind: str) -> list[str]:
    few = [group.value for group in groups if group.num_clusters < FEW_CLUSTERS]
    said = []
    if few:
        said.append(
            f"{', '.join(few)}: fewer than {FEW_CLUSTERS} {kind}s, too few for an interval or a gap, so nothing is "
            f"claimed of {'it' if len(few) == 1 else 'them'}."
        )
    if kind == "item" and any(group.num_items > 1 for group in groups):
        said.append("Intervals are over items, and say nothing of others than these.")
    return said


def gap_sentence(monitor: str, gap: Gap | None, kind: str) -> str:
    """The gap in words, and whether it is more than chance."""
    if gap is None:
        return _no_gap(kind)
    found = gap.difference
    interval = interval_written(monitor, Metric(*found[:3]))
    pairs = f", for all {gap.num_pairs} pairs at once" if gap.num_pairs > 1 else ""
    sentence = (
        f"Gap from {gap.best} to {gap.worst}: {written(monitor, found.value)} {interval}".rstrip()
        + f" (jackknife over {found.num_clusters} {kind}s of both{pairs})."
    )
    if found.low is None:
        return f"{sentence} {found.remark[:1].upper()}{found.remark[1:]}."
    return f"{sentence} {'More than chance.' if found.low > 0 else 'No difference can be told from chance.'}"


def _no_gap(kind: str) -> str:
    return f"No gap: fewer than two groups have the {FEW_CLUSTERS} {kind}s that a claim needs at least."


def tables_of_groups(folder: Path, split: str) -> list[Table]:
    """The tables of groups that an evaluation has written into the folder of a run."""
    facts = read_json(RunFolder(folder).split(split).metrics)
    titles = {_title(column) for column in facts.get("groups") or {}}
    return [Table(**stored) for stored in facts.get("tables") or [] if stored["title"] in titles]


def _title(column: str) -> str:
    return f"By {column}"
