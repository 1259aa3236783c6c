"""All members of a sweep on a split, instead of the one that dev chose: the grid of a paper as one table.

In a cross-validation each fold is a sweep. A member is then the runs of its name in all folds, and its figures are of
the rows that these hold out together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import read_jsonl
from audiossl.core.types import Metric
from audiossl.experiments.adversary import told_of
from audiossl.experiments.cross_validation.run import fold_names
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import Run, load_single
from audiossl.experiments.sweeps.record import MemberRecord, is_sweep, read_sweep
from audiossl.training.task import Monitor, Prediction


class MemberResult(NamedTuple):
    """What an evaluation of a member found.

    name: of its folder.
    values: what makes it, by axis.
    metrics: by name.
    monitor: the metric by which its task chooses.
    predictions: the rows that were scored.
    told: what a fresh probe says of an adversary's column. Empty where none is named.
    """

    name: str
    values: Mapping[str, Any]
    metrics: dict[str, Metric]
    monitor: Monitor
    predictions: list[Prediction]
    told: Mapping[str, Any]


def evaluate_members(
    folder: Path, split: str = "test", checkpoint: str = "", overrides: Sequence[str] = ()
) -> list[MemberResult]:
    """Evaluate every member that is trained to its end, in the order in which they were planned.

    folder: of a sweep, or of a cross-validation in which each fold is one.
    split: which rows are predicted and scored. Of a cross-validation it is test.
    checkpoint: best, last or averaged. '' for what the runs are configured to use.
    overrides: changes to their configuration as key=value.
    Raises ConfigError for another folder, AudiosslError where no member is trained in all folds.
    """
    if is_sweep(folder):
        places = {record.name: (record, [("", folder, list(overrides))]) for record in _finished(folder)}
    else:
        places = _over_folds(folder, split, overrides)
    if not places:
        raise AudiosslError(f"{folder} has no member that is trained to its end; go on with `audiossl train --resume`.")
    return [_evaluated(record, where, split, checkpoint) for record, where in places.values()]


_Place = tuple[str, Path, list[str]]  # a fold, the folder of its sweep, and changes to the configuration


def _over_folds(folder: Path, split: str, overrides: Sequence[str]) -> dict[str, tuple[MemberRecord, list[_Place]]]:
    """The members that all folds have trained, with the folders of the folds' sweeps."""
    whole = RunFolder(folder)
    if whole.kind != "cross_validation" or not all(is_sweep(whole.fold(name).path) for name in fold_names(folder)):
        raise ConfigError(
            f"{folder} is neither a sweep nor a cross-validation of sweeps, so it has no members; leave --members out."
        )
    if split != "test":
        raise ConfigError(f"{folder} is a cross-validation, whose folds hold out test; leave --split {split} out.")
    names = fold_names(folder)
    finished = [{record.name: record for record in _finished(whole.fold(name).path)} for name in names]
    where = [(name, whole.fold(name).path, [*overrides, f"data.dir={whole.fold_manifests(name)}"]) for name in names]
    return {name: (record, where) for name, record in finished[0].items() if all(name in others for others in finished)}


def _finished(folder: Path) -> list[MemberRecord]:
    return [record for record in read_sweep(folder).members if record.state == "finished"]


def _evaluated(record: MemberRecord, where: Sequence[_Place], split: str, checkpoint: str) -> MemberResult:
    rows: list[Prediction] = []
    told: list[dict[str, Any]] = []
    run: Run | None = None
    for fold, sweep, overrides in where:
        run = load_single(RunFolder(sweep).member(record.name).path, checkpoint, None, overrides)
        run.evaluate(split)
        place = RunFolder(run.folder).split(split)
        rows += [{**row, "fold": fold} if fold else row for row in read_jsonl(place.predictions)]
        told += read_jsonl(place.told) if run.config.adversary.field and place.told.is_file() else []
    assert run is not None
    rows.sort(key=lambda row: str(row["id"]))
    facts = told_of(told, run.config).facts["adversary"] if told else {}
    return MemberResult(record.name, record.values, run.task.score(rows), run.task.monitor, rows, facts)
