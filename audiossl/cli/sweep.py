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
from audiossl.experiments.cross_validation.members import MemberResult, evaluate_members
from audiossl.experiments.loading import load_run
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, read_sweep, runs_of
from audiossl.metrics.formatting import cells_written, interval_written, intervals_note, with_unit, written
from audiossl.metrics.jackknife import Difference
from audiossl.report.estimates import paired, scored_together


def evaluate_sweep(
    folder: Path, split: str, checkpoint: str, overrides: Sequence[str], *, stored: bool = False, as_json: bool
) -> None:
    """Evaluate the best member (of each seed, where seeds were swept over) and print what was found.

    folder: of the sweep.
    split: which rows are predicted and scored.
    checkpoint: best, last or averaged. '' for what the runs are configured to use.
    overrides: changes to their configuration as key=value.
    stored: score what an earlier evaluation predicted.
    as_json: print JSON for a program to read.
    Raises TrainingError where no member is finished.
    """
    loaded = {run.name: load_run(run, checkpoint, overrides=overrides) for run in runs_of(folder)}
    found = {name: run.score_stored(split) if stored else run.evaluate(split) for name, run in loaded.items()}
    record = read_sweep(folder)
    record.add_encoder(folder)
    if as_json:
        evaluated = {name: metrics_as_json(metrics) for name, metrics in found.items()}
        means = {subset: over_seeds(own) for subset, own in by_subset(record, found).items()}
        told = {"over_seeds": means.pop(None)} if None in means else {"over_seeds_of_subset": means}
        print(json.dumps({**record.as_json(), "split": split, "evaluated": evaluated, **told}))
        return
    out = console()
    out.print(members_table(record, f"{folder}: {with_unit(record.metric)} on dev"))
    for note in record.notes:
        out.print(shown(note))
    for subset, own in by_subset(record, found).items():
        part = "" if subset is None else f"{subset} of the training rows: "
        title = f"{part}chosen on dev, evaluated on {split}"
        out.print(figures_table(own, f"{title[0].upper()}{title[1:]}"))
    for note in dict.fromkeys(map(intervals_note, found.values())):
        out.print(shown(note))


def by_subset(
    record: SweepRecord, found: Mapping[str, Mapping[str, Metric]]
) -> dict[str | None, dict[str, Mapping[str, Metric]]]:
    """What was found of the members that share each part of the training rows. None where that is not swept over."""
    subsets = {member.name: member.subset for member in record.members}
    groups: dict[str | None, dict[str, Mapping[str, Metric]]] = {}
    for name, metrics in found.items():
        groups.setdefault(subsets[name], {})[name] = metrics
    return groups


def evaluate_all(folder: Path, split: str, checkpoint: str, overrides: Sequence[str], *, as_json: bool) -> None:
    """Evaluate every member and print one table, with the paired difference of each from the first.

    folder: of a sweep, or of a cross-validation of sweeps.
    split, checkpoint, overrides, as_json: as for `evaluate_sweep`.
    Raises ConfigError for another folder, AudiosslError where no member is trained.
    """
    found = evaluate_members(folder, split, checkpoint, overrides)
    against = differences(found)
    if as_json:
        rows = [
            {"member": each.name, "values": each.values, "metrics": metrics_as_json(each.metrics)}
            | {"minus_first": gap._asdict() if gap else None, "adversary": each.told}
            for each, gap in zip(found, against, strict=True)
        ]
        print(json.dumps({"split": split, "checkpoint": checkpoint, "members": rows}))
        return
    metrics, monitor, told = list(found[0].metrics), found[0].monitor.name, any(each.told for each in found)
    columns = ["member", *map(with_unit, metrics), f"{monitor} minus first", "p", *(["probe (%)"] if told else [])]
    made = new_table(*columns, title=f"{folder} on {split}: all members")
    for each, gap in zip(found, against, strict=True):
        cells = [_with_interval(name, each.metrics[name]) for name in metrics]
        p_value = "" if gap is None or gap.p_value is None else f"{gap.p_value:.3g}"
        cells += [_with_interval(monitor, Metric(*gap[:3])) if gap else "", p_value]
        probed = Metric.from_json(each.told["probe_accuracy"]) if "probe_accuracy" in each.told else None
        add_row(made, (each.name, *cells, *([_with_interval("accuracy", probed) if probed else ""] if told else [])))
    out = console()
    out.print(made)
    for note in dict.fromkeys(intervals_note(each.metrics) for each in found):
        out.print(shown(note))


def differences(found: Sequence[MemberResult]) -> list[Difference | None]:
    """Of each member from the first, by the metric by which the task chooses. None for the first."""
    first = found[0]
    labels = [row["id"] for row in first.predictions]
    gaps: list[Difference | None] = [None]
    for each in found[1:]:
        if [row["id"] for row in each.predictions] != labels:
            gaps.append(None)
            continue
        one, other = scored_together([each.predictions, first.predictions], first.monitor.name)
        gaps.append(paired(one, other) if one.measure == first.monitor.name else None)
    return gaps


def _with_interval(name: str, metric: Metric) -> str:
    """`31.7 [23.7, 40.8]`, in the unit of `with_unit`."""
    return " ".join(filter(None, [written(name, metric.value), interval_written(name, metric)]))


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
        parts = [member.subset, None if member.seed is None else f"seed {member.seed}"]
        return f"best of {', '.join(filter(None, parts))}"
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
