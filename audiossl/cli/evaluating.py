"""`audiossl evaluate`: a split predicted and scored, or scored again."""

from __future__ import annotations

import json
from typing import Annotated, Optional

import typer

from audiossl.cli.options import AsJson, RunPlace
from audiossl.cli.tables import add_row, console, new_table
from audiossl.core.errors import ConfigError
from audiossl.core.types import Table
from audiossl.core.untrusted import shown

EvaluationSettings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help="data.* settings, and those of the task that train nothing.", show_default=False),
]


def evaluate(
    run: RunPlace,
    split: Annotated[str, typer.Option(help="train, dev, test or another manifest of the data folder.")] = "test",
    checkpoint: Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")] = "",
    overrides: EvaluationSettings = None,
    keep_emissions: Annotated[
        bool, typer.Option("--keep-emissions", help="Of asr: keep the scores of all steps, for `audiossl decode`.")
    ] = False,
    members: Annotated[bool, typer.Option("--members", help="Of a sweep: every member, beside the first.")] = False,
    stored: Annotated[
        bool, typer.Option("--stored", help="Score the predictions of an earlier evaluation; nothing is predicted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict a split and score it (of a sweep: with the best by dev): writes predictions.jsonl and metrics.json."""
    from audiossl.core.types import metrics_as_json
    from audiossl.experiments.grouping import tables_of_groups
    from audiossl.experiments.loading import load_run
    from audiossl.experiments.sweeps.record import is_sweep
    from audiossl.metrics.formatting import cells_written, intervals_note

    if stored and (members or keep_emissions):
        raise ConfigError("--stored predicts nothing, and --members and --keep-emissions do; leave one of them out.")
    if members:
        from audiossl.cli.sweep import evaluate_all

        evaluate_all(run, split, checkpoint, overrides or [], as_json=as_json)
        return
    if is_sweep(run):
        from audiossl.cli.sweep import evaluate_sweep

        evaluate_sweep(run, split, checkpoint, overrides or [], stored=stored, as_json=as_json)
        return
    loaded = load_run(run, checkpoint, overrides=overrides or [])
    if keep_emissions:
        loaded.task.keep_emissions()
    metrics = loaded.score_stored(split) if stored else loaded.evaluate(split)
    if as_json:
        print(json.dumps(metrics_as_json(metrics)))
        return
    made = new_table("metric", "value", "95 % interval", title=f"{run} on {split}")
    for name, metric in metrics.items():
        add_row(made, cells_written(name, metric))
    console().print(made)
    if note := intervals_note(metrics):
        console().print(shown(note))
    for table in tables_of_groups(loaded.folder, split):
        _print_groups(table)
    if loaded.folder != run:  # where else the run lies
        print(f"Predictions: {loaded.folder / split}")


def _print_groups(table: Table) -> None:
    """A table of groups, and what it says of their gap."""
    made = new_table(*table.header, title=table.title)
    for row in table.rows:
        add_row(made, row)
    console().print(made)
    console().print(shown(table.note))
