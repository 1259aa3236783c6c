"""Cross-validation: a run for each fold, and one result over the rows that they hold out.

RUN/config.yaml, run.json and folds.json (the ids of each part of each fold); RUN/manifests/<fold>/ (their rows);
RUN/folds/<fold>/, ordinary run folders. RUN/log.jsonl and interface.json are means over the folds. An evaluation writes
RUN/folds/<fold>/test/ and, of all rows together, RUN/test/.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from lhotse import CutSet
from rich.console import Console

from audiossl.core.config import as_dict, save_yaml, structured
from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.core.files import write_json, write_jsonl
from audiossl.core.registry import DOWNSTREAMS
from audiossl.data.folds import Fold, FoldsConfig, draw_folds
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.cross_validation.run import _stored, fold_names
from audiossl.experiments.folder import empty, read_facts, run_folder
from audiossl.experiments.start import train
from audiossl.training.log import read_log


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
