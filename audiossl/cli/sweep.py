"""`audiossl evaluate` of a sweep: its members by their figures on dev, and the best of each seed on a split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from audiossl.cli.tables import add_row, console, new_table
from audiossl.core.types import Metric, metrics_as_json
from audiossl.core.untrusted import shown
from audiossl.experiments.loading import load_run
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, read_sweep, runs_of
from audiossl.metrics.formatting import cells_written, intervals_note, with_unit, written


def evaluate_sweep(folder: Path, split: str, checkpoint: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Evaluate the best member (of each seed, where seeds were swept over) and print what was found.

    folder: of the sweep.
    split: which rows are predicted and scored.
    checkpoint: best, last or averaged. '' for what the runs are configured to use.
    overrides: changes to their configuration as key=value.
    as_json: print JSON for a program to read.
    Raises TrainingError where no member is finished.
    """
    found = {run.name: load_run(run, checkpoint, overrides=overrides).evaluate(split) for run in runs_of(folder)}
    record = read_sweep(folder)
    record.add_encoder(folder)
    if as_json:
        evaluated = {name: metrics_as_json(metrics) for name, metrics in found.items()}
        print(json.dumps({**record.as_json(), "split": split, "evaluated": evaluated, "over_seeds": over_seeds(found)}))
        return
    out = console()
    out.print(members_table(record, f"{folder}: {with_unit(record.metric)} on dev"))
    for note in record.notes:
        out.print(shown(note))
    out.print(figures_table(found, f"Chosen on dev, evaluated on {split}"))
    for note in dict.fromkeys(map(intervals_note, found.values())):
        out.print(shown(note))


def over_seeds(found: Mapping[str, Mapping[str, Metric]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each metric over the chosen members. Empty for a single one."""
    names = next(iter(found.values())) if len(found) > 1 else {}
    values = {name: [metrics[name].value for metrics in found.values() if name in metrics] for name in names}
    return {name: {"mean": mean(each), "std": stdev(each)} for name, each in values.items() if len(each) == len(found)}


def members_table(record: SweepRecord, title: str) -> Any:
    """All members, and which of them were chosen."""
    made = new_table("member", "dev", "at step", "", title=title)
    best, chosen = record.best(), {member.name for member in record.chosen}
    for member in record.members:
        add_row(
            made, (member.name, written(record.metric, member.dev), member.step or "", _remark(member, best, chosen))
        )
    return made


def _remark(member: MemberRecord, best: MemberRecord | None, chosen: set[str]) -> str:
    if member is best:
        return "best"
    if member.name in chosen:
        return f"best of seed {member.seed}"
    return "" if member.state == "finished" else f"{member.state}: {member.why}" if member.why else member.state


def figures_table(found: Mapping[str, Mapping[str, Metric]], title: str) -> Any:
    """Metrics with their intervals, and their mean over seeds."""
    made = new_table("member", "metric", "value", "95 % interval", title=title)
    for member, metrics in found.items():
        for name, metric in metrics.items():
            add_row(made, (member, *cells_written(name, metric)))
    for name, facts in over_seeds(found).items():
        deviation = f"± {written(name, facts['std'])} (deviation)"
        add_row(made, (f"mean of {len(found)} seeds", with_unit(name), written(name, facts["mean"]), deviation))
    return made
