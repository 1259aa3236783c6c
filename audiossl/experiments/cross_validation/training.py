"""Cross-validation: a run for each fold, and one result over the rows that they hold out.

folds.json has the ids of each part of each fold. RUN/log.jsonl and interface.json are means over the folds. An
evaluation writes a split in each fold's run and, of all rows together, one in RUN. See `RunFolder`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet
from rich.console import Console

from audiossl.core.errors import AudiosslError, ManifestError, TrainingError
from audiossl.core.files import write_json, write_jsonl
from audiossl.data.folds import Fold, FoldsConfig, draw_folds
from audiossl.data.manifests import manifests_beside, read_manifest, write_manifests
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.building import build_downstream, check_rows, complete_config
from audiossl.experiments.config import Experiment, inputs_of
from audiossl.experiments.cross_validation.run import encoder_file_of_folds, fold_names
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder
from audiossl.experiments.training import train_one
from audiossl.training.context import accelerator_of


def train_folds(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train a head for each fold below `out`. On resuming, those that are finished are left alone.

    config: what to train, with `folds`.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    Returns `out`.
    Raises TrainingError, ManifestError, LabelError, ... before any training.
    """
    run = RunFolder(out)
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        accelerator, console = accelerator_of(config.trainer), Console(stderr=True)
        # Folds are drawn once. A run that goes on keeps those that it has.
        if resume:
            _check_same_folds(config, run)
        else:
            manifest = config.data.path("all")
            _check_manifest(manifest)
            folds = draw_folds(read_manifest(manifest), config.folds, config.seed, str(manifest))
            _check(config, folds)
            if accelerator.is_main_process:
                _write(config, run, folds)
        accelerator.wait_for_everyone()
        names = fold_names(out)
        for number, name in enumerate(names, start=1):
            wanted, fold = _config_of(config, run, name), run.fold(name)
            if resume and _is_finished(wanted, fold):
                continue
            if accelerator.is_main_process:
                console.print(f"Fold {number} of {len(names)}: {name}", markup=False, highlight=False)
            begun = resume and fold.can_resume  # one that was stopped before its first checkpoint starts afresh
            train_one(wanted, fold.path, resume=begun, overwrite=not begun)
        if accelerator.is_main_process:
            _summarise(config, run, names)
        accelerator.wait_for_everyone()
    return out


def _check_manifest(manifest: Path) -> None:
    """Raise ManifestError where rows were put into splits, of which folds are not drawn."""
    others = manifests_beside(manifest)
    if others and not manifest.is_file():
        raise ManifestError(
            f"There is no {manifest} to draw folds from (that folder has {', '.join(others)}); leave the splits of the "
            f"table out with `audiossl data from-csv TABLE {manifest.parent} --column split=`, or name one manifest "
            f"with data.all=."
        )


def _check(config: Experiment, folds: Iterable[Fold]) -> None:
    """Raise, before any training, what the task has to say about the rows of a fold: a class without training rows."""
    upstream = load_upstream(config.upstream, **config.upstream_options)
    for fold in folds:
        try:
            task = build_downstream(complete_config(config, fold.train), upstream, finetune=False)
        except AudiosslError as error:
            raise type(error)(f"Fold {fold.name!r}: {error}") from error
        check_rows(task, config.data, dict(fold.parts()), f"the {{split}} part of fold {fold.name!r}")


def _write(config: Experiment, run: RunFolder, folds: Sequence[Fold]) -> None:
    """run.json, folds.json, encoder.json and the manifests, then the configuration."""
    run.clear()
    write_json(run.facts_path, RunFacts(folds=[fold.name for fold in folds]).as_json())
    for fold in folds:
        write_manifests({part: CutSet.from_cuts(rows) for part, rows in fold.parts()}, run.fold_manifests(fold.name))
    parts = {fold.name: {part: [row.id for row in rows] for part, rows in fold.parts()} for fold in folds}
    write_json(run.folds_path, parts)
    encoder_file_of_folds(run.path, parts).write(run.path)
    run.write_config(config)


def _config_of(config: Experiment, run: RunFolder, name: str) -> Experiment:
    """The ordinary experiment of one fold."""
    names: dict[str, Any] = {part: f"{part}.jsonl.gz" for part in ("train", "dev", "test")}
    data = dataclasses.replace(config.data, dir=str(run.fold_manifests(name)), **names)
    return dataclasses.replace(config, data=data, folds=FoldsConfig())


def _check_same_folds(config: Experiment, run: RunFolder) -> None:
    stored = run.config().folds
    if stored != config.folds:
        raise TrainingError(
            f"The folds of {run} were drawn with other settings (folds={stored.by}); leave folds out, or train in "
            f"another folder."
        )


def _is_finished(wanted: Experiment, fold: RunFolder) -> bool:
    """Whether a fold was trained to its end with these settings, wherever its run lay then."""
    if not fold.is_finished:
        return False

    def settings(config: Experiment) -> Experiment:
        return dataclasses.replace(config, task={}, data=dataclasses.replace(config.data, dir=""))

    return settings(fold.config()) == settings(wanted)


def _summarise(config: Experiment, run: RunFolder, names: Sequence[str]) -> None:
    """What a report reads of a run, as means over its folds."""
    folds = [run.fold(name) for name in names]
    write_jsonl(run.log_path, mean_log([fold.log for fold in folds]))
    found = [fold.interface.layer_weights for fold in folds]
    weights = {group: np.mean([each[group] for each in found], axis=0).tolist() for group in found[0]}
    run.write_interface(LayerWeights(config.interface, weights))
    write_json(run.facts_path, dataclasses.replace(folds[0].facts, folds=list(names)).as_json())
    run.write_config(config)  # a resumed run may have been given more steps


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
