"""The report: one HTML file about some runs, with every picture and style inside it."""

from __future__ import annotations

import base64
import importlib.metadata
import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from audiossl.core.files import atomic_write
from audiossl.core.outputs import check_out
from audiossl.core.types import Metric
from audiossl.experiments.sweeps.record import is_sweep, read_sweep
from audiossl.metrics.formatting import interval_written, scaled, with_unit, written
from audiossl.report import figures
from audiossl.report.cells import Players, shown_tables
from audiossl.report.comparison import comparisons
from audiossl.report.estimates import is_right
from audiossl.report.growth import growth_charts
from audiossl.report.runs import Evaluation, RunSummary, read_runs
from audiossl.report.summary import interval_notes, metric_names, upstream_written

NUM_MISTAKES = 10
MOST_PICTURES = 12  # of one run
_BEGINNING = b'<!doctype html>\n<html lang="en">\n<head>\n'  # of a page of ours
_PACKAGES = ("torch", "torchaudio", "numpy", "lhotse", "scikit-learn", "omegaconf")
_NOT_CURVES = ("lr", "grad_norm", "epoch", "weight")  # logged, but not what a curve is read for


class Chart(NamedTuple):
    """A figure of the page: an <svg> element, and the caption under it."""

    svg: Markup
    caption: str


def build_report(runs: Sequence[Path], out: Path) -> Path:
    """Write out/index.html about the runs, the first of which is the baseline. Returns its path.

    Raises TrainingError for a folder that is not a run, OutputError for a page that cannot be written.
    What a run lacks is said on the page.
    """
    path = Path(out) / "index.html"
    check_out(path.parent, "folder")
    check_out(path, "file", begins=_BEGINNING)
    found = read_runs(runs)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.get_template("template.html").render(page_facts(found))
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def page_facts(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """All that the template shows, by name."""
    number, players = itertools.count(), Players()
    sweeps = dict.fromkeys(run.path.parent for run in runs if is_sweep(run.path.parent))

    def chart(svg: str, caption: str) -> Chart:
        return Chart(Markup(figures.numbered(svg, next(number))), caption)  # matplotlib escapes its text

    return {
        "title": runs[0].name if len(runs) == 1 else f"{len(runs)} runs",
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "results": results_table(runs),
        "pretraining": pretraining_table(runs),
        "estimates": [*estimate_charts(runs, chart), *(chart(*each) for each in growth_charts(runs))],
        "comparisons": comparisons(runs),
        "sweeps": [sweep_facts(folder) for folder in sweeps],
        "curves": list(curve_charts(runs, chart)),
        "runs": [run_section(run, place, chart, players) for place, run in enumerate(runs)],
        "versions": versions(runs),
    }


def results_table(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """The table of results, as the template takes it.

    names: titles of the metric columns.
    notes: over how many of what the intervals are.
    rows: one for each evaluated split of each run.
    task: of all runs, None where they have several.
    """
    # A run that has not been evaluated has no row.
    evaluated = [(run, evaluation) for run in runs for evaluation in run.evaluations.values()]
    names = metric_names(evaluation for _, evaluation in evaluated)
    rows = [
        {
            "run": run.name,
            "upstream": upstream_written(run),
            "interface": run.interface or "-",
            "task": run.downstream or "pre-training",
            "split": evaluation.split,
            "num_items": f"{evaluation.num_items:,}",
            "num_parameters": count_written(run.num_parameters),
            "num_trainable": count_written(run.num_trainable),
            "metrics": [_metric_cell(evaluation, name) for name in names],
        }
        for run, evaluation in evaluated
    ]
    # One task for all needs no column.
    tasks = {row["task"] for row in rows}
    return {
        "names": [with_unit(name) for name in names],
        "rows": rows,
        "notes": interval_notes(runs),
        "task": tasks.pop() if len(tasks) == 1 else None,
    }


def sweep_facts(folder: Path) -> dict[str, Any]:
    """All members of a sweep by their figure on dev, as the template takes them."""
    record = read_sweep(folder)
    chosen = {member.name for member in record.chosen}
    rows = [
        {
            "member": member.name,
            "dev": written(record.metric, member.dev) or member.why or member.state,
            "step": f"{member.step:,}" if member.step is not None else "",
            "remark": "chosen" if member.name in chosen else "stopped early" if member.state == "stopped" else "",
        }
        for member in record.members
    ]
    title = f"{folder.resolve().name}: {with_unit(record.metric)} on dev"
    return {"title": title, "rows": rows, "notes": record.notes}


def pretraining_table(runs: Sequence[RunSummary]) -> list[dict[str, str]]:
    """Where the losses of the pre-training runs began and ended."""
    rows = []
    for run in runs:
        if not run.is_pretraining:
            continue
        steps, losses = run.series("train", "loss")
        _, dev = run.series("dev", "loss")
        rows.append(
            {
                "run": run.name,
                "upstream": upstream_written(run),
                "steps": f"{steps[-1]:,}" if steps else "-",
                "first": f"{losses[0]:.4g}" if losses else "-",
                "last": f"{losses[-1]:.4g}" if losses else "-",
                "dev": f"{min(dev):.4g}" if dev else "-",
            }
        )
    return rows


def estimate_charts(runs: Sequence[RunSummary], chart: Callable[[str, str], Chart]) -> Iterator[Chart]:
    """For each task: the monitored metric of every run, with its interval, on the split that stands for the run."""
    evaluated = [(place, run, best) for place, run in enumerate(runs) if (best := run.best_evaluation)]
    for task, split in dict.fromkeys((run.downstream, best.split) for _, run, best in evaluated):
        rows = [each for each in evaluated if (each[1].downstream, each[2].split) == (task, split)]
        names = metric_names(best for _, _, best in rows)
        monitored = next((best.monitor for _, _, best in rows if best.monitor in names), None)
        name = monitored or next(iter(names), None)
        if name is None or len(rows) < 2:
            continue
        dots = [_estimate(run, place, best.metrics[name], name) for place, run, best in rows if name in best.metrics]
        yield chart(figures.estimates_figure(dots, with_unit(name)), f"{task or 'pre-training'}, {split} split")


def curve_charts(runs: Sequence[RunSummary], chart: Callable[[str, str], Chart]) -> Iterator[Chart]:
    """For each task: training loss, then what was logged on the development set. Its runs share a chart."""
    tasks = dict.fromkeys(run.downstream for run in runs)
    for task in tasks:
        members = [(place, run) for place, run in enumerate(runs) if run.downstream == task]
        logged = dict.fromkeys(name for _, run in members for name in run.logged("dev") if name not in _NOT_CURVES)
        for split, name in [("train", "loss"), *(("dev", name) for name in logged)]:
            lines = [line for place, run in members if (line := _line(run, place, split, name)).steps]
            if lines:
                where = f", {task or 'pre-training'}" if len(tasks) > 1 else ""
                yield chart(figures.curves_figure(lines, f"{split} {with_unit(name)}"), f"{split} {name}{where}")


def run_section(run: RunSummary, place: int, chart: Callable[[str, str], Chart], players: Players) -> dict[str, Any]:
    """The section of the page about one run alone, as the template takes it.

    run: which one.
    place: which of all runs it is, so that its colour is that of the other charts.
    chart: makes a chart of its SVG and its caption.
    players: the sound that the page still has room for.
    """
    # Predictions, mistakes and tables are those of the split that stands for the run.
    best = run.best_evaluation
    charts = []
    if any(len(values) > 1 for values in run.layer_weights.values()):
        svg = figures.layer_weights_figure(run.layer_weights, place)
        charts.append(chart(svg, f"Weight of each layer that the {run.interface or 'interface'} has learnt"))
    if best and 0 < len(best.confusion) <= figures.MOST_CLASSES:
        labels = best.labels or [str(index) for index in range(len(best.confusion))]
        caption = f"Confusion matrix, {best.split} split: number of items; the shade is the share of the row"
        charts.append(chart(figures.confusion_figure(best.confusion, labels), caption))
    # What is left out for its size is said in the notes, or counted.
    too_large = best is not None and len(best.confusion) > figures.MOST_CLASSES
    pictures = [*(best.pictures if best else []), *run.pictures]
    return {
        "name": run.name,
        "notes": [*run.notes, *(["has too many classes for a picture of its confusion matrix"] if too_large else [])],
        "charts": charts,
        "split": best.split if best else "",
        "mistakes": mistakes(best, players),
        "num_wrong": len(_wrong(best)),
        "sureness": "probability" if all(row.get("calibrated") for row in _wrong(best)) else "score",
        "tables": shown_tables(best.tables, players) if best else [],
        "pictures": [(file.stem.replace("_", " "), data_uri(file)) for file in pictures[:MOST_PICTURES]],
        "num_pictures_left_out": max(0, len(pictures) - MOST_PICTURES),
        "commands": commands(run),
        "config": run.config_text,
    }


def mistakes(evaluation: Evaluation | None, players: Players) -> list[dict[str, Any]]:
    """The wrong predictions that the model was surest of, with their sound where it is known."""
    wrong = sorted(_wrong(evaluation), key=lambda row: -float(row.get("probability") or 0.0))
    return [
        {
            "id": str(row["id"]),
            "target": str(row["target"]),
            "predicted": str(row["predicted"]),
            "probability": f"{float(row['probability']):.3f}" if row.get("probability") is not None else "-",
            "speaker": str(row.get("speaker") or "-"),
            "duration": f"{float(row['duration_s']):.2f}" if row.get("duration_s") is not None else "-",
            "audio": players.cell(row["audio"]) if row.get("audio") else None,
        }
        for row in wrong[:NUM_MISTAKES]
    ]


def commands(run: RunSummary) -> list[str]:
    """What was typed to make the run, and what gives its figures again."""
    typed = run.facts.command if run.facts else ""
    return ([typed] if typed else []) + [f"audiossl evaluate {run.path} --split {split}" for split in run.evaluations]


def versions(runs: Sequence[RunSummary]) -> dict[str, str]:
    """Versions that wrote this page, then those that each run says it was made with, and when."""
    found = {"audiossl": importlib.metadata.version("audiossl-toolkit"), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    for run in runs:
        made: list[str] = []
        if run.facts:
            made += [f"{name} {version}" for name, version in run.facts.versions.items()]
            made += [f"started {run.facts.created}"] if run.facts.created else []
        for evaluation in run.evaluations.values():
            made += (
                [f"{evaluation.split} evaluated {evaluation.facts['created']}"] if "created" in evaluation.facts else []
            )
        if made:
            found[run.name] = ", ".join(made)
    return found


def count_written(count: int | None) -> str:
    """
    >>> count_written(94_371_712), count_written(5_130), count_written(12), count_written(None)
    ('94.4 M', '5.1 k', '12', '-')
    """
    if count is None:
        return "-"
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def data_uri(file: Path) -> str:
    """A picture's bytes as an address that needs no file."""
    kind = {".svg": "svg+xml", ".png": "png"}[file.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _estimate(run: RunSummary, place: int, metric: Metric, name: str) -> figures.Dot:
    low, high = (None if bound is None else scaled(name, bound) for bound in (metric.low, metric.high))
    return figures.Dot(run.name, scaled(name, metric.value), low, high, place)


def _line(run: RunSummary, place: int, split: str, name: str) -> figures.Series:
    steps, values = run.series(split, name)
    return figures.Series(run.name, steps, [scaled(name, value) for value in values], place)


def _metric_cell(evaluation: Evaluation, name: str) -> tuple[str, str]:
    if name not in evaluation.metrics:
        return "-", ""
    metric = evaluation.metrics[name]
    return written(name, metric.value), interval_written(name, metric)


def _wrong(evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """Wrong items of a task that chooses labels. One that counts errors or scores trials shows tables of its own."""
    rows = evaluation.comparable().values() if evaluation else []
    return [row for row in rows if "predicted" in row and "num_errors" not in row and not is_right(row)]
