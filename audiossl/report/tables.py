"""The table of a report as a file: CSV with numbers, Markdown and LaTeX as they are printed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write
from audiossl.core.outputs import check_out
from audiossl.report.markup import latex_table, latex_text
from audiossl.report.runs import read_runs
from audiossl.report.summary import FIXED, fixed_cells, metric_names, summary_markdown, summary_note, summary_rows


def check_table(out: Path) -> None:
    """Raise ConfigError where a file's ending says no format, OutputError where it is somebody's own."""
    if out.suffix not in _WRITERS:
        raise ConfigError(f"--table {out} does not say in which format; let it end in {', '.join(_WRITERS)}.")
    check_out(out, "file", begins=_BEGINS[out.suffix])


def write_table(runs: Sequence[Path], out: Path) -> None:
    """Write the table of some runs.

    runs: run folders, as `build_report` takes them.
    out: a path that `check_table` lets pass. A .csv has a line for each run and metric, with shares of 1. A .md and a
        .tex have a line for each run, and one for the mean over seeds.
    """
    text = _WRITERS[out.suffix](runs)
    with atomic_write(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _csv(paths: Sequence[Path]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*FIXED, "metric", "value", "low", "high", "num_clusters", "cluster"])
    runs = read_runs(paths)
    names = metric_names(run.best_evaluation for run in runs)
    for run in runs:
        metrics = run.best_evaluation.metrics if run.best_evaluation else {}
        for name in (name for name in names if name in metrics):
            made = metrics[name]
            figures = (made.value, made.low, made.high, made.num_clusters, made.cluster)
            writer.writerow([*fixed_cells(run), name, *("" if each is None else each for each in figures)])
    return buffer.getvalue()


def _markdown(paths: Sequence[Path]) -> str:
    note = summary_note(paths)
    return "\n\n".join([summary_markdown(paths), *([note] if note else [])]) + "\n"


def _latex(paths: Sequence[Path]) -> str:
    header, rows = summary_rows(paths)
    note = " ".join(map(latex_text, summary_note(paths).splitlines()))
    cells = [[latex_text(cell) for cell in row] for row in rows]
    return latex_table([latex_text(title) for title in header], cells, note, len(FIXED) - 1) + "\n"


_WRITERS: Mapping[str, Callable[[Sequence[Path]], str]] = {".csv": _csv, ".md": _markdown, ".tex": _latex}
_BEGINS = {".csv": b"run,upstream,", ".md": b"| run | upstream |", ".tex": b"% needs \\usepackage{booktabs}"}
