"""One line a run: for a terminal (rich) and for a README (Markdown). Also how a figure and its interval are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table
from scipy.special import stdtrit

from audiossl.core.types import Metric
from audiossl.core.untrusted import shown
from audiossl.metrics.formatting import PERCENT, interval_written, intervals_note, with_unit, written
from audiossl.report.runs import Evaluation, RunSummary, read_runs

FIXED = ("run", "upstream", "interface", "task", "split", "items")  # columns beside the figures


def summary_table(runs: Sequence[Path], title: str | None = None) -> Table:
    """A rich table with one line a run: its test figures (else dev) with their 95 % intervals."""
    header, rows = summary_rows(runs)
    # What all runs share is said once, above: a terminal has room for the names and the figures.
    same = [column for column in FIXED[2:] if len({row[header.index(column)] for row in rows}) == 1]
    shared = ", ".join(f"{column} {rows[0][header.index(column)]}" for column in same)
    table = Table(title=shown(title or shared) or None, title_justify="left", box=None, pad_edge=False)
    named = ["upstream"] if all(upstream in name for name, upstream, *_ in rows) else []
    kept = [number for number, column in enumerate(header) if column not in same + named]
    for column in (header[number] for number in kept):
        fixed = column in FIXED[:5]
        table.add_column(column, justify="left" if fixed else "right", overflow="fold", min_width=8)
    for row in rows:
        table.add_row(*(shown(row[number]) for number in kept))
    return table


def summary_note(runs: Sequence[Path]) -> str:
    """What stands under the table: over how many of what the intervals are. Runs of one note share a sentence."""
    found = read_runs(runs)
    notes = interval_notes(found)
    if _of_seeds(found):
        notes.append("Of means over seeds: 95 % intervals over the seeds, and not over another test set.")
    return "\n".join(notes)


def interval_notes(runs: Sequence[RunSummary]) -> list[str]:
    """A sentence for each kind of interval, with the names of its runs where there are several kinds."""
    names: dict[str, list[str]] = {}
    for run in runs:
        metrics: dict[str, Metric] = run.best_evaluation.metrics if run.best_evaluation else {}
        if note := intervals_note(metrics):
            names.setdefault(note, []).append(run.name)
    return [note if len(names) == 1 else f"{', '.join(of)}: {note}" for note, of in names.items()]


def summary_markdown(runs: Sequence[Path]) -> str:
    """The same lines as a Markdown table, without a trailing newline."""
    header, rows = summary_rows(runs)
    rule = ["---" if column in FIXED[:5] else "---:" for column in header]
    lines = [header, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def metric_names(evaluations: Iterable[Evaluation | None]) -> list[str]:
    """All metrics of some evaluations: the known ones in their usual order, then the others as they come."""
    found = {name: None for evaluation in evaluations if evaluation for name in evaluation.metrics}
    return [name for name in PERCENT if name in found] + [name for name in found if name not in PERCENT]


def upstream_written(run: RunSummary) -> str:
    """The upstream as a reader should see it: random weights are said, and options that are words.

    An encoder behind a front end is thus `bandwidth (tera_mini, time_expand)`.
    """
    options = run.config.get("upstream_options") or {}
    words = [value for key, value in options.items() if isinstance(value, str) and key != "weights"]
    remarks = ", ".join([*words, *(["random"] if run.has_random_weights else [])])
    return f"{run.upstream} ({remarks})" if remarks else run.upstream or "-"


def summary_rows(paths: Sequence[Path]) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of the table as they are written: a line a run, then a line for the mean of several seeds."""
    runs = read_runs(paths)
    names = metric_names(run.best_evaluation for run in runs)
    header = [*FIXED, *map(with_unit, names)]
    return header, [*(_row(run, names) for run in runs), *_means_over_seeds(runs, names)]


def _means_over_seeds(runs: Sequence[RunSummary], names: Sequence[str]) -> list[list[str]]:
    """A line for the runs that differ in nothing but the seed at the end of their name, as recipes name them.

    Its intervals are Student's t over the seeds: they say how another draw of training would come out, and not how
    another test set would.
    """
    rows = []
    for name, same in _of_seeds(runs):
        cells = [_mean_cell(each, [run.best_evaluation for run in same]) for each in names]
        rows.append([f"{name}, mean of {len(same)} seeds", *_row(same[0], names)[1 : len(FIXED)], *cells])
    return rows


def _of_seeds(runs: Sequence[RunSummary]) -> list[tuple[str, list[RunSummary]]]:
    """Runs of several seeds by their common name: of one folder, on the same split, with the same parts."""
    groups: dict[tuple[object, ...], list[RunSummary]] = {}
    for run in runs:
        if run.best_evaluation:
            name = re.sub(r"-seed\d+$", "", run.name)
            parts = upstream_written(run), run.interface, run.downstream, run.best_evaluation.split
            groups.setdefault((name, run.path.parent, *parts), []).append(run)
    return [(str(name), same) for (name, *_), same in groups.items() if len(same) > 1]


def _mean_cell(name: str, evaluations: Sequence[Evaluation | None]) -> str:
    found = [evaluation.metrics[name].value for evaluation in evaluations if evaluation and name in evaluation.metrics]
    if len(found) < len(evaluations):
        return "-"
    half = float(stdtrit(len(found) - 1, 0.975)) * stdev(found) / math.sqrt(len(found))
    metric = Metric(mean(found), mean(found) - half, mean(found) + half)
    if name in PERCENT:
        metric = metric._replace(low=max(mean(found) - half, 0.0), high=min(mean(found) + half, 1.0))
    return f"{written(name, metric.value)} {interval_written(name, metric)}"


def _row(run: RunSummary, names: Sequence[str]) -> list[str]:
    return [*fixed_cells(run), *_cells(run.best_evaluation, names)]


def fixed_cells(run: RunSummary) -> list[str]:
    """What a line says of a run beside its figures, in the order of `FIXED`."""
    evaluation = run.best_evaluation
    split, items = ("-" if run.is_pretraining else "not evaluated"), "-"
    if evaluation:
        split, items = evaluation.split, str(evaluation.num_items)
    task = run.downstream or "pre-training"
    return [run.name, upstream_written(run), run.interface or "-", task, split, items]


def _cells(evaluation: Evaluation | None, names: Sequence[str]) -> list[str]:
    metrics = evaluation.metrics if evaluation else {}
    return [
        f"{written(name, metrics[name].value)} {interval_written(name, metrics[name])}".strip()
        if name in metrics
        else "-"
        for name in names
    ]
