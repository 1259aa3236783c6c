"""Cross-validation: a run for each fold, and one result over the rows that they hold out.

With `sweep`, each fold is a sweep of its own, whose best member by the dev part of the fold is the run of the fold.

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

from audiossl.core.errors import AudiosslError, ConfigError, ManifestError, TrainingError
from audiossl.core.files import write_json, write_jsonl
from audiossl.core.processes import is_main
from audiossl.data.folds import Fold, FoldsConfig, draw_folds
from audiossl.data.manifests import manifests_beside, read_manifest, write_manifests
from audiossl.encoders.kept import load_identified
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.adversary import build_adversary
from audiossl.experiments.building import build_downstream, check_rows, complete_config
from audiossl.experiments.config import Experiment, inputs_of
from audiossl.experiments.cross_validation.run import (
    encoder_file_of_folds,
    fold_names,
    fold_run,
    interfaces_of,
)
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder
from audiossl.experiments.identity.keys import identity_facts
from audiossl.experiments.sweeps.config import SweepConfig
from audiossl.experiments.sweeps.members import members_of
from audiossl.experiments.sweeps.record import is_sweep, read_sweep
from audiossl.experiments.sweeps.training import check_budget, train_sweep
from audiossl.experiments.training import train_one
from audiossl.training.context import accelerator_of


def train_folds(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train a head, or a sweep, for each fold below `out`. On resuming, those that are finished are left alone.

    It is `begin_folds`, `train_fold` for each of them and `finish_folds`, which can be called apart.

    config: what to train, with `folds`.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    Returns `out`.
    Raises TrainingError, ManifestError, LabelError, ... before any training.
    """
    _check_search(config)
    run = RunFolder(out)
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        accelerator, console = accelerator_of(config.trainer), Console(stderr=True)
        _begin(config, run, resume=resume)
        accelerator.wait_for_everyone()
        names = fold_names(out)
        for number, name in enumerate(names, start=1):
            wanted, fold = fold_config(config, out, name), run.fold(name)
            if resume and _is_finished(wanted, fold):
                continue
            if accelerator.is_main_process:
                console.print(f"Fold {number} of {len(names)}: {name}", markup=False, highlight=False)
            _train(wanted, fold, resume=resume)
        if accelerator.is_main_process:
            _summarise(config, run, names)
        accelerator.wait_for_everyone()
    return out


def begin_folds(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> list[str]:
    """Draw the folds, check that each can be trained, and write what the run is to be. Nothing is trained.

    config, out, resume, overwrite: as for `train_folds`. A run that goes on keeps the folds that it has.
    Returns the names of the folds.
    """
    _check_search(config)
    run = RunFolder(out)
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        _begin(config, run, resume=resume)
    return fold_names(out)


def fold_config(config: Experiment, out: Path, name: str) -> Experiment:
    """The experiment of one fold: an ordinary one, or a sweep.

    config: of all folds.
    out: the run folder of all folds, in which `begin_folds` wrote the manifests.
    name: of the fold.
    """
    names: dict[str, Any] = {part: f"{part}.jsonl.gz" for part in ("train", "dev", "test")}
    data = dataclasses.replace(config.data, dir=str(RunFolder(out).fold_manifests(name)), **names)
    return dataclasses.replace(config, data=data, folds=FoldsConfig())


def train_fold(config: Experiment, out: Path, name: str, *, resume: bool = False) -> Path:
    """Train one fold of a run that `begin_folds` has begun. Several processes may each train one at the same time.

    config: of all folds.
    out: the run folder of all folds.
    name: of the fold.
    resume: go on with what is there of it. One that is finished is left alone.
    Returns the folder of the fold.
    """
    wanted, fold = fold_config(config, out, name), RunFolder(out).fold(name)
    if not (resume and _is_finished(wanted, fold)):
        _train(wanted, fold, resume=resume)
    return fold.path


def finish_folds(config: Experiment, out: Path) -> Path:
    """Write the means over all folds, which are trained. `audiossl report` reads them.

    config: of all folds.
    out: the run folder of all folds.
    Returns `out`. Raises TrainingError where a fold is not trained to its end.
    """
    run = RunFolder(out)
    with run.writing(resume=True, overwrite=False):
        _summarise(config, run, fold_names(out))
    return out


def _check_search(config: Experiment) -> None:
    check_budget(config)
    if config.sweep.seed:
        raise ConfigError(
            "sweep.seed and folds do not go together, as folds are drawn from the seed; leave sweep.seed out and train "
            "a run for each seed=N."
        )


def _begin(config: Experiment, run: RunFolder, *, resume: bool) -> None:
    """Folds are drawn once. A run that goes on keeps those that it has."""
    encoder = load_identified(config.upstream, config.upstream_options)
    if resume:
        _check_same_folds(config, run)
        if is_main():
            unknown: dict[str, Any] = {"key": None, "identity": None}
            identity = {**unknown, **identity_facts(config, encoder, run.facts)}
            write_json(run.facts_path, dataclasses.replace(run.facts, **identity).as_json())
        return
    manifest = config.data.path("all")
    _check_manifest(manifest)
    folds = draw_folds(read_manifest(manifest), config.folds, config.seed, str(manifest))
    _check(config, folds, encoder.upstream)
    if is_main():
        _write(config, run, folds, identity_facts(config, encoder))


def _train(wanted: Experiment, fold: RunFolder, *, resume: bool) -> None:
    """One fold. What was stopped before there was anything to go on with starts afresh."""
    if wanted.sweep.axes:
        begun = resume and fold.is_run and is_sweep(fold.path)
        train_sweep(wanted, fold.path, resume=begun, overwrite=not begun)
    else:
        begun = resume and fold.can_resume
        train_one(wanted, fold.path, resume=begun, overwrite=not begun)


def _check_manifest(manifest: Path) -> None:
    """Raise ManifestError where rows were put into splits, of which folds are not drawn."""
    others = manifests_beside(manifest)
    if others and not manifest.is_file():
        raise ManifestError(
            f"There is no {manifest} to draw folds from (that folder has {', '.join(others)}); leave the splits of the "
            f"table out with `audiossl data from-csv TABLE {manifest.parent} --column split=`, or name one manifest "
            f"with data.all=."
        )


def _check(config: Experiment, folds: Iterable[Fold], upstream: Upstream) -> None:
    """Raise, before any training, what the task has to say about the rows of a fold: a class without training rows."""
    # Heads that differ in nothing but the learning rate have the same to say.
    sweep = SweepConfig(interface=config.sweep.interface, task=config.sweep.task)
    plans = members_of(dataclasses.replace(config, sweep=sweep))
    for fold in folds:
        for plan in plans:
            try:
                task = build_downstream(complete_config(plan.config, fold.train), upstream, finetune=False)
                build_adversary(config, task, fold.train)
            except AudiosslError as error:
                raise type(error)(f"Fold {fold.name!r}: {error}") from error
            check_rows(task, config.data, dict(fold.parts()), f"the {{split}} part of fold {fold.name!r}")


def _write(config: Experiment, run: RunFolder, folds: Sequence[Fold], identity: Mapping[str, Any]) -> None:
    """run.json, folds.json, encoder.json and the manifests, then the configuration."""
    run.clear()
    write_json(run.facts_path, RunFacts(folds=[fold.name for fold in folds], **identity).as_json())
    for fold in folds:
        write_manifests({part: CutSet.from_cuts(rows) for part, rows in fold.parts()}, run.fold_manifests(fold.name))
    parts = {fold.name: {part: [row.id for row in rows] for part, rows in fold.parts()} for fold in folds}
    write_json(run.folds_path, parts)
    encoder_file_of_folds(run.path, parts).write(run.path)
    run.write_config(config)


def _check_same_folds(config: Experiment, run: RunFolder) -> None:
    stored = run.config()
    if stored.folds != config.folds:
        raise TrainingError(
            f"The folds of {run} were drawn with other settings (folds={stored.folds.by}); leave folds out, or train "
            f"in another folder."
        )
    if bool(stored.sweep.axes) != bool(config.sweep.axes):
        was = "a sweep" if stored.sweep.axes else "no sweep"
        raise TrainingError(
            f"The folds of {run} were begun with {was} in each; leave the settings sweep.* as they are, or train in "
            f"another folder."
        )


def _is_finished(wanted: Experiment, fold: RunFolder) -> bool:
    """Whether a fold was trained to its end with these settings, wherever its run lay then."""
    if is_sweep(fold.path):
        if not (fold.is_run and (record := read_sweep(fold.path)).is_through and record.best()):
            return False
    elif not fold.is_finished:
        return False

    def settings(config: Experiment) -> Experiment:
        return dataclasses.replace(config, task={}, data=dataclasses.replace(config.data, dir=""))

    return settings(fold.config()) == settings(wanted)


def _summarise(config: Experiment, run: RunFolder, names: Sequence[str]) -> None:
    """What a report reads of a run, as means over its folds."""
    folds = [fold_run(run, name) for name in names]
    write_jsonl(run.log_path, mean_log([fold.log for fold in folds]))
    run.write_interface(_mean_weights(folds))
    whole: dict[str, Any] = {"folds": list(names), "key": run.facts.key, "identity": run.facts.identity}
    write_json(run.facts_path, dataclasses.replace(_common_facts(folds), **whole).as_json())
    run.write_config(config)  # a resumed run may have been given more steps


def _mean_weights(folds: Sequence[RunFolder]) -> LayerWeights:
    """The mean weight of each layer. None where folds have chosen different interfaces, of which there is no mean."""
    configs = [fold.config() for fold in folds]
    found = [fold.interface.layer_weights for fold in folds]
    first = configs[0]
    same = all(
        (each.interface, each.interface_options) == (first.interface, first.interface_options) for each in configs
    )
    groups = found[0] if same else {}
    weights = {group: np.mean([each[group] for each in found], axis=0).tolist() for group in groups}
    return LayerWeights(interfaces_of(configs), weights)


def _common_facts(folds: Sequence[RunFolder]) -> RunFacts:
    """The facts of the first fold, without numbers in which others with another head differ from it."""
    facts = [fold.facts for fold in folds]
    counts = ("num_parameters", "num_trainable", "num_trainable_head", "num_trainable_upstream")
    other = [name for name in counts if len({getattr(each, name) for each in facts}) > 1]
    unknown: dict[str, Any] = dict.fromkeys(other)
    return dataclasses.replace(facts[0], **unknown)


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
