"""Cross-validation: a run for each fold, and one result over the rows that they hold out.

RUN/config.yaml, run.json and folds.json (the ids of each part of each fold); RUN/manifests/<fold>/ (their rows);
RUN/folds/<fold>/, ordinary run folders. RUN/log.jsonl and interface.json are means over the folds. An evaluation writes
RUN/folds/<fold>/test/ and, of all rows together, RUN/test/.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from lhotse import CutSet
from rich.console import Console

from audiossl.config import as_dict, save_yaml, structured
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.errors import AudiosslError, ConfigError, TrainingError
from audiossl.evaluate import read_jsonl, write_json, write_jsonl
from audiossl.experiment import (
    Experiment,
    build_downstream,
    parse_settings,
    read_settings,
    train,
)
from audiossl.finetuning import FinetuneConfig
from audiossl.folds import Fold, FoldsConfig, draw_folds
from audiossl.registry import DOWNSTREAMS
from audiossl.run import Run, load_run, rescore
from audiossl.run_folder import empty, read_facts, run_folder
from audiossl.runlog import read_log
from audiossl.task import Prediction
from audiossl.types import Cell, Metric, Table
from audiossl.upstream import load_upstream


def train_folds(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train a head for each fold below `out`; on resuming, those that are finished are left alone."""
    with run_folder(out, resume=resume, overwrite=overwrite):
        accelerator = Accelerator(cpu=config.trainer.device == "cpu")  # as the trainer's: all share one state
        main, console = accelerator.is_main_process, Console(stderr=True)
        if resume:
            _check_same_folds(config, out)
        else:
            folds = draw_folds(
                read_manifest(config.data.path("all")), config.folds, config.seed, str(config.data.path("all"))
            )
            _check(config, folds)
            if main:
                _write(config, out, folds)
        accelerator.wait_for_everyone()
        names = fold_names(out)
        for number, name in enumerate(names, start=1):
            wanted, folder = _config_of(config, out, name), out / "folds" / name
            if resume and _is_finished(wanted, folder):
                continue
            if main:
                console.print(f"Fold {number} of {len(names)}: {name}", markup=False, highlight=False)
            begun = resume and (folder / "checkpoints" / "last.safetensors").is_file()
            train(wanted, folder, resume=begun, overwrite=not begun)
        if main:
            _summarise(config, out, names)
        accelerator.wait_for_everyone()
    return out


def fold_names(folder: Path) -> list[str]:
    """The folds of a run, in their order."""
    path = folder / "folds.json"
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise AudiosslError(f"{path} cannot be read; train again with --overwrite.") from error


@dataclasses.dataclass(frozen=True)
class FoldedRun(Run):
    """The runs of all folds. task: of the first one, for what needs no weights; evaluation pools the held-out rows."""

    folds: Mapping[str, Run] = dataclasses.field(default_factory=dict)

    def predict(self, cuts: CutSet, *, check: bool = False, where: str = "the input") -> list[Prediction]:
        """What the heads of all folds say together, sorted by id. Raises AudiosslError for a task without such a way.

        Recordings of the corpus itself were trained on by all folds but one: `evaluate` is for them.
        """
        found: dict[str, list[Prediction]] = {}
        for run in self.folds.values():
            for row in run.predict(cuts, check=check, where=where):
                found.setdefault(row["id"], []).append(row)
        return [self.task.ensemble(found[name]) for name in sorted(found)]

    def evaluate(self, split: str = "test") -> dict[str, Metric]:
        """Evaluate each fold on the rows that it holds out, then all of these together; metrics of the latter."""
        self._only_test(split)
        by_fold, rows = {}, []
        for name, run in self.folds.items():
            by_fold[name] = run.evaluate("test")
            rows += [{**row, "fold": name} for row in read_jsonl(run.folder / "test" / "predictions.jsonl")]
        rows.sort(key=lambda row: str(row["id"]))
        write_jsonl(self.folder / split / "predictions.jsonl", rows)
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
    """All folds of a run. Raises AudiosslError where one is not trained."""
    changed = parse_settings(overrides)
    moved = sorted(set(changed.get("data", {})) & {"dir", "train", "dev", "test", "all"})
    if moved or "folds" in changed:
        what = f"data.{moved[0]}" if moved else "folds"
        raise ConfigError(f"{what} cannot be changed: {folder} is a cross-validation on its own rows; leave it out.")
    runs = {}
    for name in fold_names(folder):
        place = folder / "folds" / name
        if not (place / "interface.json").is_file():
            raise AudiosslError(
                f"The fold {name!r} of {folder} is not trained; go on with `audiossl train --resume {folder}`."
            )
        moved_here = f"data.dir={folder / 'manifests' / name}"  # the run may have been moved since
        runs[name] = load_run(place, checkpoint, device, [*overrides, moved_here])
    first = next(iter(runs.values()))
    return FoldedRun(folder, _stored(folder), first.task, first.device, first.fingerprint, runs)


def fold_table(
    rows: Iterable[Prediction], by_fold: Mapping[str, Mapping[str, Metric]], means: Mapping[str, float]
) -> Table:
    """The figures of each fold, and their means."""
    from audiossl.report.summary import with_unit, written

    counts = Counter(row["fold"] for row in rows)
    lines: list[list[Cell]] = [
        [name, counts[name], *(written(key, found[key].value) for key in means)] for name, found in by_fold.items()
    ]
    lines.append(["mean", sum(counts.values()), *(written(key, value) for key, value in means.items())])
    note = (
        "Folds share training rows, so their figures say little about chance; the intervals are of all rows together."
    )
    return Table("Folds", ["fold", "items", *map(with_unit, means)], lines, note)


def _check(config: Experiment, folds: Iterable[Fold]) -> None:
    """Raise, before any training, what the task has to say about the rows of a fold: a class without training rows."""
    upstream = load_upstream(config.upstream, **config.upstream_options)
    task_type = DOWNSTREAMS.load(config.downstream)
    where = f"task options of {config.downstream}"
    frozen = dataclasses.replace(config, finetune=FinetuneConfig())  # nothing is added to the encoder that all share
    for fold in folds:
        try:
            options = task_type.complete(structured(task_type.Config, config.task, where=where), fold.train)
            task = build_downstream(dataclasses.replace(frozen, task=as_dict(options)), upstream)
        except AudiosslError as error:
            raise type(error)(f"Fold {fold.name!r}: {error}") from error
        for part, rows in fold.parts():
            task.check_cuts(rows, f"the {part} part of fold {fold.name!r}")
            task.check_split(rows, part)


def _write(config: Experiment, out: Path, folds: Iterable[Fold]) -> None:
    """folds.json and the manifests; config.yaml comes last, for it makes the folder one that can be gone on with."""
    empty(out)
    for fold in folds:
        write_manifests({part: CutSet.from_cuts(rows) for part, rows in fold.parts()}, out / "manifests" / fold.name)
    write_json(
        out / "folds.json",
        {fold.name: {part: [row.id for row in rows] for part, rows in fold.parts()} for fold in folds},
    )
    save_yaml(config, out / "config.yaml")


def _config_of(config: Experiment, out: Path, name: str) -> Experiment:
    """The ordinary experiment of one fold."""
    names: dict[str, Any] = {part: f"{part}.jsonl.gz" for part in ("train", "dev", "test")}
    data = dataclasses.replace(config.data, dir=str(out / "manifests" / name), **names)
    return dataclasses.replace(config, data=data, folds=FoldsConfig())


def _stored(folder: Path) -> Experiment:
    path = folder / "config.yaml"
    return structured(Experiment, read_settings(path), where=str(path))


def _check_same_folds(config: Experiment, out: Path) -> None:
    stored = _stored(out).folds
    if stored != config.folds:
        raise TrainingError(
            f"The folds of {out} were drawn with other settings (folds={stored.by}); leave folds out, or train in "
            f"another folder."
        )


def _is_finished(wanted: Experiment, folder: Path) -> bool:
    """Whether a fold was trained to its end with these settings, wherever its run lay then."""
    if not (folder / "interface.json").is_file():
        return False

    def settings(config: Experiment) -> Experiment:
        return dataclasses.replace(config, task={}, data=dataclasses.replace(config.data, dir=""))

    return settings(_stored(folder)) == settings(wanted)


def _summarise(config: Experiment, out: Path, names: Sequence[str]) -> None:
    """What a report reads of a run, as means over its folds."""
    places = [out / "folds" / name for name in names]
    write_jsonl(out / "log.jsonl", mean_log([read_log(place) for place in places]))
    found = [json.loads((place / "interface.json").read_text(encoding="utf-8"))["layer_weights"] for place in places]
    weights = {group: np.mean([each[group] for each in found], axis=0).tolist() for group in found[0]}
    write_json(out / "interface.json", {"name": config.interface, "layer_weights": weights})
    write_json(out / "run.json", {**read_facts(places[0]), "folds": list(names)})
    save_yaml(config, out / "config.yaml")  # a resumed run may have been given more steps


def mean_log(logs: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The mean of each number over the logs, for lines (a step of a split) that all of them have."""
    lines = [{(line["step"], line["split"]): line for line in log} for log in logs]
    means = []
    for step, split in lines[0]:
        same = [each[step, split] for each in lines if (step, split) in each]
        if len(same) < len(lines):
            continue
        numbers = {
            key: float(np.mean([line[key] for line in same]))
            for key in same[0]
            if key != "step" and all(isinstance(line.get(key), float) for line in same)
        }
        means.append({"step": step, "split": split, **numbers})
    return means
