"""The page of a task: all encoders on it, what was tried, which items are hard, and what is unsound in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audiossl.experiments.suites.results import CellResult
from audiossl.metrics.formatting import clusters_written, intervals_note, scaled, written
from audiossl.metrics.verification import det_curve
from audiossl.report import figures
from audiossl.report.build import Chart, mistakes
from audiossl.report.cells import MOST_PLAYERS, Players, shown_tables
from audiossl.report.comparison import signed
from audiossl.report.runs import Evaluation
from audiossl.report.suites.charts import TriedLine, det_figure, tried_figure
from audiossl.report.suites.hardest import hardest_items
from audiossl.report.suites.parts import (
    PageCharts,
    SitePlaces,
    SortableCell,
    axis_title,
    metric_cell,
    seconds_written,
)
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings, TaskStandings

NUM_MISTAKES = 5  # of each encoder


def task_facts(results: SuiteResults, made: Standings, places: SitePlaces, name: str) -> dict[str, Any]:
    """All that the template of a task shows, by name.

    results: of the suite.
    made: what they say.
    places: of the other pages.
    name: of the task.
    """
    charts, task = PageCharts(), made.tasks[name]
    definition, metric = task.definition, task.definition.metric
    evaluations = {
        each: found for each in task.figures if (found := results.evaluation(results.whole(name, each)[0])) is not None
    }
    dots = places.dots(((each, figure.metric) for each, figure in task.figures.items()), metric)
    order = "lower" if definition.mode == "min" else "higher"
    # Sound is most of a page, so the players are shared out.
    hard = Players()
    hard.left = MOST_PLAYERS // 3
    each_left = max(2, (MOST_PLAYERS - hard.left) // max(len(evaluations), 1))
    return {
        "title": definition.title or name,
        "name": name,
        "definition": definition,
        "axis": axis_title(metric),
        "order": order,
        "references": [written(metric, end) for end in (definition.reference.low, definition.reference.high)],
        "estimates": charts(
            figures.estimates_figure(dots, axis_title(metric)), f"{axis_title(metric)}: {order} is better"
        ),
        "interval_notes": sorted({intervals_note({metric: each.metric}) for each in task.figures.values()} - {""}),
        "notes": task.notes,
        "rows": [_row(results, made, places, task, each) for each in task.figures],
        "has_seeds": any(len(figure.seeds) > 1 for figure in task.figures.values()),
        "pairs": [_pair(task, place) for place in range(len(task.pairs))],
        "folds": _folds(results, task),
        "tried": list(_tried_charts(results, task, places, charts)),
        "errors": list(_error_charts(evaluations, places, charts)),
        "hardest": hardest_items(evaluations, hard),
        "encoders": [_encoder(each, found, places, each_left) for each, found in evaluations.items()],
        "failures": [cell for cell in results.failures if cell.task == name],
    }


def _row(results: SuiteResults, made: Standings, places: SitePlaces, task: TaskStandings, name: str) -> dict[str, Any]:
    figure, metric = task.figures[name], task.definition.metric
    cells, rank = results.whole(task.name, name), task.rank(name)
    leak = made.warnings.get(name, {}).get(task.name)
    chosen = " / ".join(dict.fromkeys(filter(None, map(_chosen, cells)))) or figure.interface
    seconds = sum(cell.cost.total_s for cell in [*cells, *results.folds(task.name, name)])
    devs = [cell.dev for cell in cells if cell.dev is not None]
    others = [
        (axis_title(each), metric_cell(each, cells[0].metrics[each])) for each in cells[0].metrics if each != metric
    ]
    return {
        "name": name,
        "href": places.upstream(name),
        "rank": SortableCell("-" if rank is None else f"{rank:g}", key=rank or 0.0),
        "figure": metric_cell(metric, figure.metric, mark="corpus seen" if leak else ""),
        "seeds": ", ".join(written(metric, value) for value in figure.seeds),
        "deviation": "" if figure.deviation is None else f"{scaled(metric, figure.deviation):.2g}",
        "dev": SortableCell(written(metric, sum(devs) / len(devs)), key=sum(devs) / len(devs))
        if devs
        else SortableCell("-"),
        "chosen": chosen,
        "items": SortableCell(f"{figure.num_items:,}", key=figure.num_items),
        "seconds": SortableCell(seconds_written(seconds), key=seconds),
        "others": others,
        "notes": list(dict.fromkeys(note for cell in cells for note in cell.notes)),
    }


def _chosen(cell: CellResult) -> str:
    """What was chosen on dev, as the best of what was tried says."""
    known = [tried for tried in cell.trials if tried.dev is not None]
    if not known:
        return ""
    best = (min if cell.mode == "min" else max)(known, key=lambda tried: tried.dev or 0.0)
    return ", ".join(f"{axis} {_value(value)}" for axis, value in best.values.items())


def _pair(task: TaskStandings, place: int) -> dict[str, Any]:
    pair = task.pairs[place]
    metric, found = task.definition.metric, pair.difference
    better = (found.value < 0) == (task.definition.mode == "min")
    bounds = [None if end is None else signed(metric, end) for end in (found.low, found.high)]
    verdict = f"{pair.first if better else pair.second} is better" if pair.is_real else "not shown to differ"
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": SortableCell(
            signed(metric, found.value), f"[{bounds[0]}, {bounds[1]}]" if bounds[0] else "", found.value
        ),
        "p": _p_cell(found.p_value),
        "corrected": _p_cell(pair.corrected),
        "over": clusters_written(found.num_clusters or 0, found.cluster),
        "verdict": verdict,
        "is_real": pair.is_real,
        "remark": found.remark,
    }


def _p_cell(value: float | None) -> SortableCell:
    return SortableCell("-") if value is None else SortableCell(f"{value:.2g}", key=value)


def _folds(results: SuiteResults, task: TaskStandings) -> dict[str, Any] | None:
    """The figure of each fold, a row for each encoder. None without folds."""
    metric, found = task.definition.metric, {name: results.folds(task.name, name) for name in task.figures}
    names = list(dict.fromkeys(cell.fold for cells in found.values() for cell in cells))
    rows = []
    for name, cells in found.items():
        by_fold = {fold: [cell for cell in cells if cell.fold == fold and metric in cell.metrics] for fold in names}
        values = [sum(cell.metrics[metric].value for cell in of) / len(of) if of else None for of in by_fold.values()]
        known = [value for value in values if value is not None]
        if known:
            shown = [
                SortableCell("-") if value is None else SortableCell(written(metric, value), key=value)
                for value in values
            ]
            mean = sum(known) / len(known)
            rows.append({"name": name, "cells": [*shown, SortableCell(written(metric, mean), key=mean)]})
    return {"names": names, "rows": rows} if rows else None


def _tried_charts(
    results: SuiteResults, task: TaskStandings, places: SitePlaces, charts: PageCharts
) -> Iterator[Chart]:
    """For each encoder: dev over learning rates, a line for each interface. Over layers or names without several."""
    for name in task.figures:
        cells = [cell for cell in results.whole(task.name, name) if len(cell.trials) > 1]
        cells = cells or [cell for cell in results.folds(task.name, name) if len(cell.trials) > 1]
        if cells:
            xlabel, lines = tried_lines(cells[0], task.definition.metric)
            if lines:
                svg = tried_figure(lines, xlabel, f"dev {axis_title(cells[0].metric)}", places.colours[name])
                part = f", fold {cells[0].fold}" if cells[0].fold else ""
                yield charts(svg, f"{name}: what was tried, seed {cells[0].seed}{part}")


def tried_lines(cell: CellResult, metric: str) -> tuple[str, list[TriedLine]]:
    """(title of the axis, lines) of what was tried for a cell.

    cell: with more than one trial.
    metric: of the values.
    """
    known = [tried for tried in cell.trials if tried.dev is not None]
    varying = [axis for axis in ("lr", "interface", "task") if len({_value(t.values.get(axis)) for t in known}) > 1]
    if not varying:
        return "", []
    along, others = varying[0], varying[1:]
    lines: dict[str, list[tuple[float | str, float]]] = {}
    for tried in known:
        place = tried.values.get(along)
        at: float | str = float(place) if along == "lr" and place is not None else _value(place)
        label = ", ".join(_value(tried.values.get(axis)) for axis in others) or along
        lines.setdefault(label, []).append((at, scaled(metric, float(tried.dev or 0.0))))
    made = []
    for label, points in lines.items():
        ordered = sorted(points, key=lambda point: point[0]) if along == "lr" else points
        made.append(TriedLine(label, [place for place, _ in ordered], [value for _, value in ordered]))
    return {"lr": "learning rate", "interface": "interface", "task": "head"}[along], made


def _value(value: Any) -> str:
    """A value of an axis in a few letters: the options of a mapping without its quotes."""
    if isinstance(value, dict):
        named = str(value["name"]) if "name" in value else ""
        rest = " ".join(f"{key} {each}" for key, each in value.items() if key != "name")
        return f"{named} {rest}".strip()
    return f"{value:g}" if isinstance(value, float) else "default" if value is None else str(value)


def _error_charts(evaluations: dict[str, Evaluation], places: SitePlaces, charts: PageCharts) -> Iterator[Chart]:
    """One DET chart of all encoders, or a confusion matrix of each."""
    trials = {
        name: [row for row in found.predictions if row.keys() >= {"enrol", "test", "score", "target"}]
        for name, found in evaluations.items()
    }
    curves = {
        name: det_curve([row["score"] for row in rows], [row["target"] for row in rows])
        for name, rows in trials.items()
        if len({bool(row["target"]) for row in rows}) == 2
    }
    if curves:
        yield charts(det_figure(curves, places.colours), "Misses over false alarms at every threshold (DET)")
    for name, found in evaluations.items():
        if 0 < len(found.confusion) <= figures.MOST_CLASSES:
            labels = found.labels or [str(index) for index in range(len(found.confusion))]
            caption = f"{name}: number of items, and the shade is the share of the row"
            yield charts(figures.confusion_figure(found.confusion, labels), caption)


def _encoder(name: str, found: Evaluation, places: SitePlaces, num_players: int) -> dict[str, Any]:
    """Wrong items of one encoder, and what the task says of its predictions in tables."""
    players = Players()
    players.left = num_players
    wrong = mistakes(found, players)[:NUM_MISTAKES]
    rows = found.comparable().values()
    return {
        "name": name,
        "href": places.upstream(name),
        "mistakes": wrong,
        "num_wrong": sum("predicted" in row and row["predicted"] != row["target"] for row in rows),
        "split": found.split,
        "sureness": "probability" if all(row.get("calibrated") for row in rows) else "score",
        "tables": shown_tables(found.tables, players),
    }
