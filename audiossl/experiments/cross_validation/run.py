"""The trained runs of all folds as one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.errors import AudiosslError, ConfigError, TrainingError
from audiossl.core.files import read_json, read_jsonl, write_jsonl
from audiossl.core.typed_json import check_types
from audiossl.core.types import Cell, Metric, Table
from audiossl.data.inputs import rows_of
from audiossl.encoders.encoder_file import EncoderFile
from audiossl.experiments.adversary import Told, told_of
from audiossl.experiments.config import Experiment, parse_settings
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import Run, check_evaluable, load_single, rescore
from audiossl.experiments.sweeps.members import value_written
from audiossl.experiments.sweeps.record import MemberRecord, is_sweep, read_sweep
from audiossl.metrics.formatting import with_unit, written
from audiossl.training.task import Prediction

_TITLES = {"interface": "interface", "task": "head", "lr": "learning rate"}  # of axes, in the table of folds


def fold_names(folder: Path) -> list[str]:
    """The folds of a run, in their order. Raises AudiosslError for a folder that does not say them."""
    path = RunFolder(folder).folds_path
    try:
        stored = read_json(path)
        check_types(stored, dict.fromkeys(stored, dict[str, list[str]]), path, "mend it")
        if any(name == ".." or Path(name).name != name for name in stored):
            raise AudiosslError(f"{path} has a fold that is no name of a folder; mend it.")
        return list(stored)
    except AudiosslError as error:
        raise AudiosslError(f"{path} cannot be read; train again with --overwrite.") from error


def fold_run(whole: RunFolder, name: str) -> RunFolder:
    """The run that stands for a fold. Of a sweep it is the member that is best on the dev part of the fold.

    Raises TrainingError for a fold that is not trained to its end.
    """
    fold = whole.fold(name)
    if is_sweep(fold.path):
        record = read_sweep(fold.path)
        if record.is_through and (best := record.best()):
            return fold.member(best.name)
    elif fold.is_finished:
        return fold
    raise TrainingError(f"The fold {name!r} of {whole} is not trained; go on with `audiossl train --resume {whole}`.")


def chosen_in(whole: RunFolder, name: str) -> MemberRecord | None:
    """The member that is best on the dev part of a fold. None for a fold without a sweep."""
    fold = whole.fold(name).path
    return read_sweep(fold).best() if is_sweep(fold) else None


@dataclasses.dataclass(frozen=True)
class FoldedRun(Run):
    """The runs of all folds. An evaluation pools the rows that they hold out.

    task: of the first fold, for what needs no weights.
    folds: the runs by name.
    chosen: in each fold with a sweep, the member that is its run.
    """

    folds: Mapping[str, Run] = dataclasses.field(default_factory=dict)
    chosen: Mapping[str, MemberRecord] = dataclasses.field(default_factory=dict)

    def predict(self, cuts: Any, *, check: bool = False, where: str = "the input") -> list[Prediction]:
        """What the heads of all folds say together, sorted by id. Raises AudiosslError for a task without such a way.

        Recordings of the corpus itself were trained on by all folds but one. `evaluate` is for them.
        """
        found: dict[str, list[Prediction]] = {}
        with rows_of(cuts) as rows:
            for run in self.folds.values():
                for row in run.predict(rows, check=check, where=where):
                    found.setdefault(row["id"], []).append(row)
        return [self.task.ensemble(found[name]) for name in sorted(found)]

    def evaluate(self, split: str = "test") -> dict[str, Metric]:
        """Evaluate each fold on the rows that it holds out, then all of these together. Returns metrics of the latter.

        Raises AudiosslError for another split than test.
        """
        self._only_test(split)
        check_evaluable(RunFolder(self.folder), split)
        for run in self.folds.values():
            run.evaluate("test")
        return self.pool(split)

    def score_stored(self, split: str = "test") -> dict[str, Metric]:
        """As `evaluate`, on what the folds predicted before. Nothing is predicted."""
        self._only_test(split)
        for run in self.folds.values():
            run.score_stored("test")
        return self.pool(split)

    def pool(self, split: str = "test") -> dict[str, Metric]:
        """Metrics of the held-out rows of all folds together, each of which was evaluated. Nothing is predicted."""
        self._only_test(split)
        check_evaluable(RunFolder(self.folder), split)
        by_fold, rows = {}, []
        for name, run in self.folds.items():
            stored = read_json(RunFolder(run.folder).split("test").metrics)["metrics"]
            by_fold[name] = {key: Metric.from_json(metric) for key, metric in stored.items()}
            rows += [{**row, "fold": name} for row in read_jsonl(RunFolder(run.folder).split("test").predictions)]
        rows.sort(key=lambda row: str(row["id"]))
        write_jsonl(RunFolder(self.folder).split(split).predictions, rows)
        RunFolder(self.folder).add_encoder(encoder_file_of_folds(self.folder, list(self.folds)))
        means = {
            name: float(np.mean([found[name].value for found in by_fold.values()])) for name in self._shared(by_fold)
        }
        figures = {name: {key: metric.value for key, metric in found.items()} for name, found in by_fold.items()}
        table = fold_table(rows, by_fold, means, {name: member.values for name, member in self.chosen.items()})
        told = self._told()
        facts = {"folds": figures, "mean_of_folds": means, **self._choices(), **(told.facts if told else {})}
        return rescore(self, split, rows, tables=[table, *(told.tables if told else [])], facts=facts)

    def _told(self) -> Told | None:
        """What the probes of all folds said of an adversary's column. None where none is named."""
        paths = [RunFolder(run.folder).split("test").told for run in self.folds.values()]
        rows = [row for path in paths if path.is_file() for row in read_jsonl(path)]
        if not (self.config.adversary.field and rows):
            return None
        told = told_of(rows, self.config)
        write_jsonl(RunFolder(self.folder).split("test").told, told.rows)
        return told

    def predictions_of(self, split: str) -> list[Prediction]:
        """The held-out rows of all folds, sorted by id."""
        self._only_test(split)
        rows = [{**row, "fold": name} for name, run in self.folds.items() for row in run.predictions_of(split)]
        return sorted(rows, key=lambda row: str(row["id"]))

    def _choices(self) -> dict[str, Any]:
        """What metrics.json says of what was chosen in each fold. Nothing without a sweep."""
        if not self.chosen:
            return {}
        chosen = {
            name: {"member": member.name, "values": member.values, "dev": member.dev, "step": member.step}
            for name, member in self.chosen.items()
        }
        return {"chosen": chosen, "interface": interfaces_of(run.config for run in self.folds.values())}

    def _only_test(self, split: str) -> None:
        if split != "test":
            raise AudiosslError(
                f"{self.folder} is a cross-validation, which is evaluated on the rows that its folds hold out; leave "
                f"--split {split} out, or evaluate one fold, for instance {next(iter(self.folds.values())).folder}."
            )

    @staticmethod
    def _shared(by_fold: Mapping[str, Mapping[str, Metric]]) -> list[str]:
        first, *others = by_fold.values()
        return [name for name in first if all(name in other for other in others)]


def load_folds(folder: Path, checkpoint: str, device: str | None, overrides: Sequence[str]) -> FoldedRun:
    """All folds of a run.

    folder: of the cross-validation.
    checkpoint, device, overrides: as `load_single` takes them for each fold.
    Raises AudiosslError where a fold is not trained, ConfigError for changes that its rows do not allow.
    """
    changed = parse_settings(overrides)
    moved = sorted(set(changed.get("data", {})) & {"dir", "train", "dev", "test", "all"})
    if moved or "folds" in changed:
        what = f"data.{moved[0]}" if moved else "folds"
        raise ConfigError(f"{what} cannot be changed: {folder} is a cross-validation on its own rows; leave it out.")
    whole, runs = RunFolder(folder), {}
    for name in fold_names(folder):
        run = fold_run(whole, name)
        moved_here = f"data.dir={whole.fold_manifests(name)}"  # the run may have been moved since
        runs[name] = load_single(run.path, checkpoint, device, [*overrides, moved_here])
    first = next(iter(runs.values()))
    chosen = {name: member for name in runs if (member := chosen_in(whole, name))}
    return FoldedRun(folder, whole.config(), first.task, first.device, first.fingerprint, folds=runs, chosen=chosen)


def interfaces_of(configs: Iterable[Experiment]) -> str:
    """The interfaces of some runs: one name, or several with commas between them."""
    return ", ".join(dict.fromkeys(config.interface for config in configs))


def encoder_file_of_folds(folder: Path, names: Iterable[str]) -> EncoderFile:
    """What encoder.json says of a cross-validation: each fold has an encoder of its own."""
    run = RunFolder(folder)
    return EncoderFile(runs=[str(run.fold(name).path.relative_to(run.path)) for name in names])


def fold_table(
    rows: Iterable[Prediction],
    by_fold: Mapping[str, Mapping[str, Metric]],
    means: Mapping[str, float],
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
) -> Table:
    """The figures of each fold, and their means.

    rows: the held-out rows of all folds, each with its `fold`.
    by_fold: the metrics of each fold.
    means: of the metrics that all folds have.
    chosen: by fold, the values of the member that was chosen in it, by axis. None without a sweep.
    """
    counts = Counter(row["fold"] for row in rows)
    axes = list(next(iter(chosen.values()))) if chosen else []

    def choices(fold: str) -> list[Cell]:
        return [value_written(axis, chosen[fold][axis]) if chosen else "" for axis in axes]

    lines: list[list[Cell]] = [
        [name, counts[name], *choices(name), *(written(key, found[key].value) for key in means)]
        for name, found in by_fold.items()
    ]
    lines.append(
        ["mean", sum(counts.values()), *("" for _ in axes), *(written(key, value) for key, value in means.items())]
    )
    note = (
        "Folds share training rows, so their figures say little about chance; the intervals are of all rows together."
    )
    if axes:
        note += " What each fold was trained with was chosen on its own dev part."
    return Table("Folds", ["fold", "items", *(_TITLES[axis] for axis in axes), *map(with_unit, means)], lines, note)
