"""The page of a task: all encoders on it, what was tried, which items are hard, and what is unsound in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audiossl.experiments.suites.results import Tried
from audiossl.metrics.formatting import clusters_written, intervals_note, scaled, written
from audiossl.metrics.verification import det_curve
from audiossl.report import figures
from audiossl.report.build import Chart, mistakes
from audiossl.report.cells import MOST_PLAYERS, Players, shown_tables
from audiossl.report.comparison import signed
from audiossl.report.runs import Evaluation
from audiossl.report.suites.charts import det_figure, tried_figure
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
from audiossl.report.suites.tried import chosen_written, mean_trials, tried_lines

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
    chosen = chosen_written(cells) or chosen_written(results.folds(task.name, name)) or figure.interface
    seconds = sum(cell.cost.total_s for cell in results.computed(name, task.name))
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
        seed, part, trials = _searched(results, task.name, name)
        if len(trials) > 1:
            xlabel, lines = tried_lines(trials, task.definition.metric)
            if lines:
                ylabel = f"dev {axis_title(task.definition.metric)}"
                yield charts(
                    tried_figure(lines, xlabel, ylabel, places.colours[name]),
                    f"{name}: what was tried, seed {seed}{part}",
                )


def _searched(results: SuiteResults, task: str, name: str) -> tuple[int, str, list[Tried]]:
    """The first seed of a search, in which of its folds it was, and what was tried there."""
    for cells, part in ((results.whole(task, name), ""), (results.folds(task, name), ", mean over the folds")):
        if found := [cell for cell in cells if cell.trials]:
            same = [cell for cell in found if cell.seed == found[0].seed]
            return found[0].seed, part, mean_trials(same)
    return 0, "", []


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
