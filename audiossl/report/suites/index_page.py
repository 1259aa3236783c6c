"""The first page of a site: the leaderboard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audiossl.core.types import Metric
from audiossl.experiments.suites.definition import why_missing
from audiossl.report import figures
from audiossl.report.build import Chart, count_written
from audiossl.report.suites.charts import Point, cost_figure
from audiossl.report.suites.export import table_notes
from audiossl.report.suites.parts import (
    PageCharts,
    SitePlaces,
    SortableCell,
    axis_title,
    metric_cell,
    run_command,
    seconds_written,
    share_written,
)
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings

SCORE, RANK = "score", "rank"  # views beside the tasks


def index_facts(results: SuiteResults, made: Standings, places: SitePlaces) -> dict[str, Any]:
    """All that the template of the first page shows, by name.

    results: of the suite.
    made: what they say.
    places: of the other pages.
    """
    charts, suite = PageCharts(), results.suite
    columns = list(_columns(made, places))
    views = list(_view_charts(made, places, charts))
    shown = {view for view, _, _ in views}
    return {
        "title": suite.title or f"Suite {suite.name}",
        "suite": suite,
        "notes": results.notes,
        "columns": columns,
        "rows": [_row(results, made, places, name) for name in places.order],
        "table_notes": table_notes(results, made, "bold", "Corpus seen:"),
        "views": [column for column in columns if column["view"] in shown],
        "view_charts": views,
        "first_view": next((view for view in (SCORE, RANK) if view in shown), views[0][0] if views else ""),
        "wins": _wins(made, places),
        "costs": list(_cost_charts(results, made, places, charts)),
        "warnings": _warnings(made),
        "failures": [_failure(results, cell.title, cell.error, cell.log) for cell in results.failures],
        "untouched": _untouched(results, made),
        "tasks": [
            {"name": name, "href": places.task(name), "title": results.title(name)}
            for name, task in made.tasks.items()
            if task.figures
        ],
        "command": run_command(results, results.upstreams),
        "versions": _versions(results),
    }


def _columns(made: Standings, places: SitePlaces) -> Iterator[dict[str, str]]:
    """Columns of figures: the name of the view, title, the order in which the best is first, and where it leads."""
    if made.scores:
        yield {"view": SCORE, "title": "score", "under": "of 1000", "first": "descending", "href": ""}
    if made.ranks is not None:
        under = f"over {made.ranks.num_tasks} task" + ("s" if made.ranks.num_tasks != 1 else "")
        yield {"view": RANK, "title": "mean rank", "under": under, "first": "ascending", "href": ""}
    for name, task in made.tasks.items():
        if task.figures:
            lower = task.definition.mode == "min"
            title, arrow = axis_title(task.definition.metric), "↓" if lower else "↑"
            first = "ascending" if lower else "descending"
            under = f"{title} {arrow}"
            yield {"view": name, "title": name, "under": under, "first": first, "href": places.task(name)}


def _row(results: SuiteResults, made: Standings, places: SitePlaces, name: str) -> dict[str, Any]:
    cells: list[SortableCell] = []
    missing, facts = made.missing[name], results.first(name).encoder
    if made.scores:
        cells.append(_score_cell(made, name))
    if made.ranks is not None:
        rank = made.rank(name)
        best = rank is not None and name == made.ranked[0]
        cells.append(SortableCell("-") if rank is None else SortableCell(*_rank_texts(rank), rank.value, best))
    for task in made.tasks.values():
        if not task.figures:
            continue
        figure, leak = task.figures.get(name), made.warnings.get(name, {}).get(task.name)
        best = figure is not None and figure.metric.value == next(iter(task.figures.values())).metric.value
        mark = "corpus seen" if leak else ""
        cells.append(metric_cell(task.definition.metric, figure.metric if figure else None, best=best, mark=mark))
    speed, size = facts.seconds_per_hour, facts.num_parameters
    costs = [
        SortableCell("-") if speed is None else SortableCell(seconds_written(speed), key=speed),
        SortableCell(count_written(size), key=size) if size else SortableCell("-"),
    ]
    return {"name": name, "href": places.upstream(name), "cells": cells, "costs": costs, "lacks": len(missing)}


def _score_cell(made: Standings, name: str) -> SortableCell:
    score = made.scores.get(name)
    if score is None:
        return SortableCell("-")
    full = [made.scores[each].value for each in made.scores if not made.missing[each]]
    partial = f"partial: {score.num_clusters} of {len(made.tasks)}" if made.missing[name] else ""
    best = not partial and score.value == max(full, default=None)
    # A partial score is sorted as if there were none: it is of other tasks.
    key = "" if partial else score.value
    return SortableCell(f"{score.value:.0f}", f"[{score.low:.0f}, {score.high:.0f}]", key, best, partial)


def _rank_texts(rank: Metric) -> tuple[str, str]:
    return f"{rank.value:.2f}", "" if rank.low is None else f"[{rank.low:.1f}, {rank.high:.1f}]"


def _view_charts(made: Standings, places: SitePlaces, charts: PageCharts) -> Iterator[tuple[str, str, Chart]]:
    """(view, title, chart of all encoders)."""
    if made.scores:
        scored = [(name, made.scores[name]) for name in places.order if name in made.scores]
        svg = figures.estimates_figure(places.dots(scored), "score")
        yield SCORE, "score", charts(svg, "Score over the tasks that an encoder has, with intervals over test items")
    ranks = [(name, rank) for name in places.order if (rank := made.rank(name)) is not None]
    if ranks:
        svg = figures.estimates_figure(places.dots(ranks), "mean rank (1 is the best)")
        yield RANK, "mean rank", charts(svg, "Mean rank over tasks, with intervals over test items and tasks")
    for name, task in made.tasks.items():
        if task.figures:
            dots = places.dots(((each, figure.metric) for each, figure in task.figures.items()), task.definition.metric)
            better = "lower is better" if task.definition.mode == "min" else "higher is better"
            svg = figures.estimates_figure(dots, axis_title(task.definition.metric))
            yield name, name, charts(svg, f"{task.definition.title or name}: {better}")


def _wins(made: Standings, places: SitePlaces) -> list[dict[str, Any]]:
    """A row for each ranked encoder: how often it is ahead of each other one."""
    return [
        {
            "name": first,
            "href": places.upstream(first),
            "cells": [None if first == second else _share(made.win(first, second)) for second in made.ranked],
        }
        for first in (made.ranked if made.ranks is not None else [])
    ]


def _share(value: float | None) -> dict[str, str]:
    known = 0.0 if value is None else value
    return {"text": share_written(known), "share": f"{known:.2f}"}


def _cost_charts(results: SuiteResults, made: Standings, places: SitePlaces, charts: PageCharts) -> Iterator[Chart]:
    """Cost against the score, or against the mean rank where there is no score."""
    quality = {name: each for name, each in made.scores.items() if not made.missing[name]}
    label = "score"
    if len(quality) < 2:
        found = {name: made.rank(name) for name in made.ranked}
        quality, label = {name: each for name, each in found.items() if each is not None}, "mean rank (1 is the best)"
    facts = {name: results.first(name).encoder for name in quality}
    energy = {name: _energy_wh(results, name) for name in quality}
    costs: Sequence[tuple[str, dict[str, float | None], str]] = (
        ("seconds to encode an hour of sound", {name: facts[name].seconds_per_hour for name in quality}, "speed"),
        ("parameters (millions)", {name: facts[name].num_parameters / 1e6 or None for name in quality}, "size"),
        ("energy of all cells (watt-hours)", energy, "energy"),
    )
    for xlabel, values, what in costs:
        points = [
            Point(name, cost, quality[name].value, quality[name].low, quality[name].high, places.colours[name])
            for name in places.order
            if name in quality and (cost := values[name])
        ]
        if len(points) > 1:
            lacks = [name for name in quality if not values[name]]
            note = f". Not known of {', '.join(lacks)}" if lacks else ""
            yield charts(cost_figure(points, xlabel, label), f"Quality and {what}{note}")


def _energy_wh(results: SuiteResults, name: str) -> float | None:
    """Of all cells of an encoder. None where one of them does not know its own."""
    found = [cell.cost.energy_j for cell in results.computed(name)]
    known = [joules for joules in found if joules is not None]
    return sum(known) / 3600 if known and len(known) == len(found) else None


def _warnings(made: Standings) -> list[str]:
    """A sentence for each encoder that was trained on corpora of the suite."""
    sentences = []
    for upstream, found in made.warnings.items():
        corpora = dict.fromkeys(name for names in found.values() for name in names)
        sentences.append(
            f"{upstream}: what is said of its training names {', '.join(corpora)}, of which {', '.join(found)} test, "
            f"perhaps on other splits. Its figures there may not be of unseen recordings."
        )
    return sentences


def _failure(results: SuiteResults, title: str, error: str, log: str) -> dict[str, str]:
    return {"title": title, "error": error, "log": str(results.folder.path / log) if log else ""}


def _untouched(results: SuiteResults, made: Standings) -> list[dict[str, str]]:
    """Tasks of the suite without any figure, and why."""
    found = []
    for name in results.tasks:
        if not made.tasks[name].figures:
            definition = results.task(name)
            why = why_missing(name, definition) if name in results.suite.tasks else ""
            found.append({"name": name, "why": why or "no encoder has a figure", "get": definition.get})
    return found


def _versions(results: SuiteResults) -> dict[str, str]:
    """Of the packages that cells were computed with, several where they differ."""
    found: dict[str, dict[str, None]] = {}
    for cell in results.cells:
        for package, version in cell.versions.items():
            found.setdefault(package, {})[version] = None
    return {package: ", ".join(versions) for package, versions in sorted(found.items())}
