"""The page of an encoder: all tasks, what they cost, which layers they read, and what gives its figures again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from audiossl.metrics.rankings import reference_score
from audiossl.report.build import Chart, count_written
from audiossl.report.suites.charts import heat_figure
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
from audiossl.report.suites.standings import Standings, TaskStandings
from audiossl.report.suites.tried import figures_of_layers, mean_trials


def upstream_facts(results: SuiteResults, made: Standings, places: SitePlaces, name: str) -> dict[str, Any]:
    """All that the template of an encoder shows, by name.

    results: of the suite.
    made: what they say.
    places: of the other pages.
    name: of the encoder.
    """
    charts = PageCharts()
    mine = [cell for cell in results.cells if cell.upstream == name and cell.state == "finished"]
    notes = list(dict.fromkeys(f"{cell.task}: {note}" for cell in mine for note in cell.notes))
    return {
        "name": name,
        "facts": _facts(results, made, name),
        "warnings": made.warnings.get(name, {}),
        "missing": made.missing[name],
        "rows": [_row(results, made, places, task, name) for task in made.tasks.values() if name in task.figures],
        "layers": list(_layer_charts(results, name, places, charts)),
        "wins": [
            {"name": other, "href": places.upstream(other), "text": share_written(share), "key": share}
            for other in made.ranked
            if other != name and (share := made.win(name, other)) is not None
        ],
        "notes": notes,
        "failures": [cell for cell in results.failures if cell.upstream == name],
        "commands": _commands(results, name),
    }


def _facts(results: SuiteResults, made: Standings, name: str) -> list[tuple[str, str]]:
    """What is known of the encoder, and of what it took."""
    facts = results.first(name).encoder
    mine = results.computed(name)
    score, rank = made.scores.get(name), made.rank(name)
    energy = [cell.cost.energy_j for cell in mine]
    known = [joules for joules in energy if joules is not None]
    memory = max((cell.cost.peak_memory_bytes for cell in mine), default=0)
    pairs: list[tuple[str, str | None]] = [
        ("score", f"{score.value:.0f} [{score.low:.0f}, {score.high:.0f}]" if score else None),
        (
            "mean rank",
            f"{rank.value:.2f}" + (f" [{rank.low:.1f}, {rank.high:.1f}]" if rank.low else "") if rank else None,
        ),
        ("encoder", facts.name if facts.name != name else None),
        ("options", ", ".join(f"{key}={value}" for key, value in facts.options.items())),
        ("parameters", count_written(facts.num_parameters) if facts.num_parameters else None),
        ("hidden states", str(facts.num_layers) if facts.num_layers else None),
        ("an hour of sound", None if facts.seconds_per_hour is None else seconds_written(facts.seconds_per_hour)),
        ("time of all cells", seconds_written(sum(cell.cost.total_s for cell in mine))),
        ("most memory", f"{memory / 2**30:.1f} GiB" if memory else None),
        ("energy", f"{sum(known) / 3600:.2f} Wh of {len(known)} of {len(energy)} cells" if known else None),
        ("device", ", ".join(sorted({cell.cost.device for cell in mine}))),
        ("trained on, as its card says", "; ".join(facts.trained_on)),
    ]
    return [(title, text) for title, text in pairs if text]


def _row(results: SuiteResults, made: Standings, places: SitePlaces, task: TaskStandings, name: str) -> dict[str, Any]:
    figure, ends, metric = task.figures[name], task.definition.reference, task.definition.metric
    cells = results.computed(name, task.name)
    part = SortableCell("-")
    if ends.low is not None and ends.high is not None and ends.low != ends.high:
        score = float(reference_score(figure.metric.value, ends.low, ends.high))
        part = SortableCell(f"{score:.0f}", key=score)
    spent = {what: sum(getattr(cell.cost, what) for cell in cells) for what in ("train_s", "evaluate_s")}
    rank = task.rank(name)
    return {
        "name": task.name,
        "title": task.definition.title,
        "href": places.task(task.name),
        "metric": axis_title(metric),
        "figure": metric_cell(
            metric, figure.metric, mark="corpus seen" if made.warnings.get(name, {}).get(task.name) else ""
        ),
        "rank": SortableCell("-" if rank is None else f"{rank:g} of {len(task.figures)}", key=rank or 0.0),
        "part": part,
        "interface": figure.interface,
        "costs": [SortableCell(seconds_written(value), key=value) for value in spent.values()],
    }


def _layer_charts(results: SuiteResults, name: str, places: SitePlaces, charts: PageCharts) -> Iterator[Chart]:
    """Figures of single layers, learnt weights of the layers, and their mean norms beside them."""
    single: dict[str, list[float]] = {}
    weights: dict[str, list[float]] = {}
    norms: dict[str, list[float]] = {}
    for task in results.tasks:
        cells = [*results.whole(task, name), *results.folds(task, name)]
        alone = figures_of_layers(mean_trials([each for each in cells if each.trials]), results.task(task).mode)
        if len(alone) > 1:
            single[task] = alone
        cell = next((each for each in cells if each.layer_weights), None)
        for group, values in (cell.layer_weights if cell else {}).items():
            several = len(cell.layer_weights) > 1 if cell else False
            if len(values) > 1:
                weights[f"{task} {group}" if several else task] = values
        normed = next((each for each in cells if each.layer_norms), None)
        if normed is not None:
            norms[task] = normed.layer_norms
    if single:
        svg = heat_figure(single, places.colours[name], "figure of each layer by itself")
        note = "Each layer by itself, on dev: its figure in hundredths, a mean over folds and seeds"
        yield charts(svg, f"{note}. The shade is the share of the largest of the row")
    if weights:
        svg = heat_figure(weights, places.colours[name], "weight of each layer")
        yield charts(
            svg, "Learnt weight of each layer, in hundredths. The shade is the share of the largest of the row"
        )
    if norms:
        svg = heat_figure(norms, places.colours[name], "mean norm of each layer")
        note = "Mean norm of a frame of each layer: a small weight on a layer with a large norm is no small part"
        yield charts(svg, note)


def _commands(results: SuiteResults, name: str) -> list[str]:
    """What computes all of it again, and what scores each run again."""
    mine = [cell for task in results.tasks for cell in results.whole(task, name)]
    runs = [cell.chosen or cell.run for cell in mine if cell.chosen or cell.run]
    return [
        run_command(results, [name]),
        *(f"audiossl evaluate {shlex.quote('results/' + run)} --split test" for run in runs),
    ]
