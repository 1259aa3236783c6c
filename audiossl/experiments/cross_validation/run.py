"""The trained runs of all folds as one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from lhotse import CutSet

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import read_json, read_jsonl, write_jsonl
from audiossl.core.typed_json import check_types
from audiossl.core.types import Cell, Metric, Table
from audiossl.encoders.encoder_file import EncoderFile
from audiossl.experiments.config import parse_settings
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import Run, check_evaluable, load_single, rescore
from audiossl.metrics.formatting import with_unit, written
from audiossl.training.task import Prediction


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


@dataclasses.dataclass(frozen=True)
class FoldedRun(Run):
    """The runs of all folds. An evaluation pools the rows that they hold out.

    task: of the first fold, for what needs no weights.
    folds: the runs by name.
    """

    folds: Mapping[str, Run] = dataclasses.field(default_factory=dict)

    def predict(self, cuts: CutSet, *, check: bool = False, where: str = "the input") -> list[Prediction]:
        """What the heads of all folds say together, sorted by id. Raises AudiosslError for a task without such a way.

        Recordings of the corpus itself were trained on by all folds but one. `evaluate` is for them.
        """
        found: dict[str, list[Prediction]] = {}
        for run in self.folds.values():
            for row in run.predict(cuts, check=check, where=where):
                found.setdefault(row["id"], []).append(row)
        return [self.task.ensemble(found[name]) for name in sorted(found)]

    def evaluate(self, split: str = "test") -> dict[str, Metric]:
        """Evaluate each fold on the rows that it holds out, then all of these together. Returns metrics of the latter.

        Raises AudiosslError for another split than test.
        """
        self._only_test(split)
        check_evaluable(RunFolder(self.folder), split)
        by_fold, rows = {}, []
        for name, run in self.folds.items():
            by_fold[name] = run.evaluate("test")
            rows += [{**row, "fold": name} for row in read_jsonl(RunFolder(run.folder).split("test").predictions)]
        rows.sort(key=lambda row: str(row["id"]))
        write_jsonl(RunFolder(self.folder).split(split).predictions, rows)
        RunFolder(self.folder).add_encoder(encoder_file_of_folds(self.folder, list(self.folds)))
        means = {
            name: float(np.mean([found[name].value for found in by_fold.values()])) for name in self._shared(by_fold)
        }
        figures = {name: {key: metric.value for key, metric in found.items()} for name, found in by_fold.items()}
        table = fold_table(rows, by_fold, means)
        return rescore(self, split, rows, tables=[table], facts={"folds": figures, "mean_of_folds": means})

    def predictions_of(self, split: str) -> list[Prediction]:
        """The held-out rows of all folds, sorted by id."""
        self._only_test(split)
        rows = [{**row, "fold": name} for name, run in self.folds.items() for row in run.predictions_of(split)]
        return sorted(rows, key=lambda row: str(row["id"]))

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
        if not whole.fold(name).is_finished:
            raise AudiosslError(
                f"The fold {name!r} of {folder} is not trained; go on with `audiossl train --resume {folder}`."
            )
        moved_here = f"data.dir={whole.fold_manifests(name)}"  # the run may have been moved since
        runs[name] = load_single(whole.fold(name).path, checkpoint, device, [*overrides, moved_here])
    first = next(iter(runs.values()))
    return FoldedRun(folder, whole.config(), first.task, first.device, first.fingerprint, runs)


def encoder_file_of_folds(folder: Path, names: Iterable[str]) -> EncoderFile:
    """What encoder.json says of a cross-validation: each fold has an encoder of its own."""
    run = RunFolder(folder)
    return EncoderFile(runs=[str(run.fold(name).path.relative_to(run.path)) for name in names])


def fold_table(
    rows: Iterable[Prediction], by_fold: Mapping[str, Mapping[str, Metric]], means: Mapping[str, float]
) -> Table:
    """The figures of each fold, and their means.

    rows: the held-out rows of all folds, each with its `fold`.
    by_fold: the metrics of each fold.
    means: of the metrics that all folds have.
    """
    counts = Counter(row["fold"] for row in rows)
    lines: list[list[Cell]] = [
        [name, counts[name], *(written(key, found[key].value) for key in means)] for name, found in by_fold.items()
    ]
    lines.append(["mean", sum(counts.values()), *(written(key, value) for key, value in means.items())])
    note = (
        "Folds share training rows, so their figures say little about chance; the intervals are of all rows together."
    )
    return Table("Folds", ["fold", "items", *map(with_unit, means)], lines, note)
