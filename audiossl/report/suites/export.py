"""The table of a suite for papers and READMEs: Markdown, LaTeX (booktabs), CSV, and the section of a model card."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.types import Metric
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.metrics.formatting import clusters_written, interval_written, with_unit, written
from audiossl.report.markup import DAGGER, latex_table, latex_text, markdown_text
from audiossl.report.suites.card import card
from audiossl.report.suites.reading import SuiteResults, metric_title, read_results
from audiossl.report.suites.standings import Standings, TaskStandings, standings

Format = Literal["markdown", "latex", "csv", "card"]
_CSV = (
    *("suite", "version", "upstream", "task", "metric", "mode", "value", "low", "high", "num_clusters", "cluster"),
    *("num_seeds", "seed_deviation", "num_items", "rank", "interface", "num_parameters", "seconds_per_hour"),
    "trained_on_test",
)


class LeaderboardCell(NamedTuple):
    """A cell of the table.

    value, interval: as they are written, '' where there is none.
    best: whether no figure of the column is better.
    marked: whether the encoder was trained on what it is tested on.
    """

    value: str
    interval: str = ""
    best: bool = False
    marked: bool = False


def format_of(text: str) -> Format:
    """A format that a user named. Raises ConfigError for another one."""
    for form in get_args(Format):
        if text == form:
            return cast(Format, form)
    raise ConfigError(f"--format {text}: choose {', '.join(get_args(Format))}.")


def export_text(results: ResultsFolder | Path | str, form: Format, upstream: str = "") -> str:
    """The results of a suite as text without a trailing newline.

    results: the folder.
    form: markdown, latex and csv are tables of all encoders, card is the section of a model card of one.
    upstream: whose card. It may be left out where there is one alone.
    Raises AudiosslError for a folder without results and for an encoder that it does not have.
    """
    found = read_results(results)
    made = standings(found)
    if form == "card":
        return card(found, made, _only_upstream(found, upstream))
    forms: dict[str, Callable[[SuiteResults, Standings], str]] = {"markdown": markdown, "latex": latex, "csv": csv_text}
    if form not in forms:
        raise AudiosslError(f"There is no format {form!r}; take markdown, latex, csv or card.")
    return forms[form](found, made)


def markdown(results: SuiteResults, made: Standings) -> str:
    """A row for each encoder, the best first, and what the figures are under it."""
    header = ["upstream", "score", "mean rank", *(_column_title(task, "↑", "↓") for task in _shown(made))]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, cells in leaderboard_rows(results, made):
        lines.append([name, *(_markdown_cell(cell) for cell in cells)])
    table = "\n".join("| " + " | ".join(markdown_text(cell) for cell in line) + " |" for line in lines)
    return "\n".join([table, "", *(f"{markdown_text(note)}  " for note in table_notes(results, made, "**bold**"))])


def latex(results: SuiteResults, made: Standings) -> str:
    """The same as a table of booktabs."""
    tasks = _shown(made)
    header = ["Upstream", "Score", "Rank", *(_column_title(task, "", "") for task in tasks)]
    arrows = ["", r"$\uparrow$", r"$\downarrow$"]
    arrows += [r"$\downarrow$" if task.definition.mode == "min" else r"$\uparrow$" for task in tasks]
    titles = [f"{latex_text(title)} {arrow}".strip() for title, arrow in zip(header, arrows, strict=True)]
    rows = [
        [latex_text(name), *(_latex_cell(cell) for cell in cells)] for name, cells in leaderboard_rows(results, made)
    ]
    notes = " ".join(latex_text(note) for note in table_notes(results, made, "bold"))
    return latex_table(titles, rows, f"{latex_text(results.suite.title or results.suite.name)}. {notes}")


def csv_text(results: SuiteResults, made: Standings) -> str:
    """A line for each encoder and task, and for the score and the mean rank of each encoder. Shares are of 1."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _CSV, restval="", lineterminator="\n")
    writer.writeheader()
    for name in made.order(results.upstreams):
        facts = results.first(name).encoder
        shared = {"suite": results.suite.name, "version": results.suite.version, "upstream": name}
        shared |= {"num_parameters": facts.num_parameters or "", "seconds_per_hour": facts.seconds_per_hour or ""}
        for title, mode, metric in (("score", "max", made.scores.get(name)), ("mean_rank", "min", made.rank(name))):
            if metric is not None:
                writer.writerow({**shared, "metric": title, "mode": mode, **_figures(metric)})
        for task in made.tasks.values():
            figure = task.figures.get(name)
            if figure is None:
                continue
            row = {"task": task.name, "metric": task.definition.metric, "mode": task.definition.mode}
            row |= {"interface": figure.interface, "trained_on_test": "; ".join(_leaks(made, name, task.name))}
            counts = {"num_seeds": len(figure.seeds), "num_items": figure.num_items, "rank": task.rank(name)}
            spread = {"seed_deviation": "" if figure.deviation is None else figure.deviation}
            writer.writerow({**shared, **row, **counts, **spread, **_figures(figure.metric)})
    return buffer.getvalue().removesuffix("\n")


def terminal_rows(results: ResultsFolder | Path | str) -> list[list[str]]:
    """The table with a line for each task and a column for each encoder, its header first."""
    found = read_results(results)
    made = standings(found)
    columns = dict(leaderboard_rows(found, made))
    titles = ["score", "mean rank", *(f"{task.name}, {with_unit(task.definition.metric)}" for task in _shown(made))]
    lines = [[_plain_cell(cells[place]) for cells in columns.values()] for place in range(len(titles))]
    # Tasks come first, and what sums them up last.
    rows = [[title, *line] for title, line in zip(titles, lines, strict=True)]
    return [["", *columns], *rows[2:], *rows[:2]]


def _plain_cell(cell: LeaderboardCell) -> str:
    return f"{cell.value}{'†' if cell.marked else ''} {cell.interval}".strip()


def leaderboard_rows(results: SuiteResults, made: Standings) -> Iterator[tuple[str, list[LeaderboardCell]]]:
    """(encoder, cells for score, mean rank and each task), the best first."""
    order = made.order(results.upstreams)
    full = [name for name in order if name in made.scores and not made.missing[name]]
    best_score = max((made.scores[name].value for name in full), default=None)
    for name in order:
        score, rank = made.scores.get(name), made.rank(name)
        cells = [LeaderboardCell("")]
        if score is not None:
            partial = f" ({score.num_clusters} of {len(made.tasks)})" if made.missing[name] else ""
            best = not partial and score.value == best_score
            cells = [LeaderboardCell(f"{score.value:.0f}{partial}", f"[{score.low:.0f}, {score.high:.0f}]", best)]
        cells.append(LeaderboardCell("") if rank is None else _rank_cell(rank, name == made.ranked[0]))
        yield name, [*cells, *(_task_cell(task, name, made) for task in _shown(made))]


def table_notes(results: SuiteResults, made: Standings, best: str, mark: str = "†") -> list[str]:
    """What stands under the table.

    results: of the suite.
    made: what they say.
    best: how the best figure of a column is shown.
    mark: how a figure is marked whose test set the encoder was trained on.
    """
    suite = results.suite
    kinds = {
        (figure.metric.num_clusters, figure.metric.cluster)
        for task in made.tasks.values()
        for figure in task.figures.values()
        if figure.metric.low is not None and figure.metric.num_clusters
    }
    over = ", ".join(clusters_written(num or 0, kind) for num, kind in sorted(kinds, key=str))
    notes = [f"Suite {suite.name}, version {suite.version}. In brackets: 95 % intervals of the test sets ({over})."]
    if any(len(figure.seeds) > 1 for task in made.tasks.values() for figure in task.figures.values()):
        notes.append("Of several seeds, the figure is their mean, and the interval is for the average run.")
    if made.scores:
        notes.append(
            "Score: mean over tasks of 1000 (figure - low) / (high - low) with the reference points of the suite."
        )
    if any(made.missing[name] for name in made.scores):
        notes.append("Scores of fewer than all tasks are partial and not comparable.")
    if made.ranks is not None and made.ranks.low is None:
        notes.append("Fewer than three tasks give no interval of a mean rank.")
    notes.append(f"The best figure of a column is {best}, whether or not others differ from it by more than chance.")
    if made.warnings:
        notes.append(
            f"{mark} The training data of the encoder are said to be of this corpus, perhaps of other splits than test."
        )
    return notes


def _only_upstream(results: SuiteResults, upstream: str) -> str:
    if not upstream and len(results.upstreams) == 1:
        return results.upstreams[0]
    if upstream not in results.upstreams:
        what = f"{results.folder} has no results of {upstream!r}" if upstream else "A card is of one encoder"
        raise AudiosslError(f"{what}; name one of: {', '.join(results.upstreams)}.")
    return upstream


def _shown(made: Standings) -> list[TaskStandings]:
    """Tasks that some encoder has."""
    return [task for task in made.tasks.values() if task.figures]


def _task_cell(task: TaskStandings, name: str, made: Standings) -> LeaderboardCell:
    if name not in task.figures:
        return LeaderboardCell("")
    metric, asked = task.figures[name].metric, task.definition.metric
    best = metric.value == next(iter(task.figures.values())).metric.value
    marked = bool(_leaks(made, name, task.name))
    return LeaderboardCell(written(asked, metric.value), interval_written(asked, metric), best, marked)


def _rank_cell(rank: Metric, best: bool) -> LeaderboardCell:
    interval = "" if rank.low is None else f"[{rank.low:.1f}, {rank.high:.1f}]"
    return LeaderboardCell(f"{rank.value:.2f}", interval, best)


def _leaks(made: Standings, upstream: str, task: str) -> list[str]:
    return made.warnings.get(upstream, {}).get(task, [])


def _column_title(task: TaskStandings, up: str, down: str) -> str:
    unit = " (%)" if with_unit(task.definition.metric).endswith("(%)") else ""
    arrow = down if task.definition.mode == "min" else up
    return f"{task.name} {metric_title(task.definition.metric)}{unit} {arrow}".strip()


def _figures(metric: Metric) -> dict[str, object]:
    known: dict[str, object] = {
        "value": metric.value,
        "low": metric.low,
        "high": metric.high,
        "num_clusters": metric.num_clusters,
    }
    return {key: "" if value is None else value for key, value in known.items()} | {"cluster": metric.cluster}


def _markdown_cell(cell: LeaderboardCell) -> str:
    value = f"**{cell.value}**" if cell.best else cell.value
    return f"{value}{'†' if cell.marked else ''} {cell.interval}".strip()


def _latex_cell(cell: LeaderboardCell) -> str:
    value = rf"\textbf{{{latex_text(cell.value)}}}" if cell.best else latex_text(cell.value)
    interval = rf" {{\scriptsize {cell.interval}}}" if cell.interval else ""
    return f"{value}{DAGGER if cell.marked else ''}{interval}".strip()
