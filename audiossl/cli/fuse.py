"""`audiossl fuse`: several runs as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from audiossl.cli.options import AsJson
from audiossl.cli.tables import add_row, console, new_table


def fuse(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more runs of one task, evaluated on the split and, for --weights dev, on dev."),
    ],
    split: Annotated[str, typer.Option(help="What the fusion is applied to.")] = "test",
    weights: Annotated[str, typer.Option(help="Weights of the runs: dev (fitted on it) or equal.")] = "dev",
    to: Annotated[
        Path | None, typer.Option("--out", help="Also write predictions and metrics below this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fuse the scores of several runs, with weights from dev or equal ones, and compare with each of them."""
    from audiossl.core.types import Metric
    from audiossl.experiments.fusing import fuse_runs, fused_as_json, write_fused
    from audiossl.metrics.formatting import cells_written

    fused = fuse_runs(runs, split, weights)
    if to:
        write_fused(to, runs, split, fused)
    if as_json:
        print(json.dumps(fused_as_json(runs, fused)))
        return
    made = new_table("metric", "value", "95 % interval", title=f"{len(runs)} runs as one on {split}")
    for name, metric in fused.metrics.items():
        add_row(made, cells_written(name, metric))
    console().print(made)
    against = new_table("run", "fusion minus run", "95 % interval", "p", title=fused.compared)
    for run, difference in zip(runs, fused.differences, strict=True):
        cells = cells_written(fused.compared, Metric(*difference[:3]))[1:]
        add_row(against, (str(run), *cells, "" if difference.p_value is None else f"{difference.p_value:.3g}"))
    console().print(against)
