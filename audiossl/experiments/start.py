"""Training by what a configuration asks for: one run, stages, a sweep or a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiossl.data.inputs import write_rows
from audiossl.experiments.config import Experiment
from audiossl.experiments.cross_validation.training import train_folds
from audiossl.experiments.staged_training import train_stages
from audiossl.experiments.sweeps.record import is_sweep
from audiossl.experiments.sweeps.training import train_sweep
from audiossl.experiments.training import train_one


def train(
    config: Experiment,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    rows: Mapping[str, Any] | None = None,
) -> Path:
    """Train a head in the run folder `out`, or one for each stage, fold or member of a sweep.

    config: what to train.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    rows: those of splits, as cut sets, pandas frames or `datasets.Dataset`s. They are written as the manifests that the
        configuration names, so that the run can be resumed and repeated. None for the manifests that are there.
    Returns `out`.
    Raises TrainingError if there is a run already, OutputError for `rows` where a manifest is there of others.
    """
    if rows:
        write_rows(rows, config.manifests)
    if config.stages:
        return train_stages(config, out, resume=resume, overwrite=overwrite)
    goes_on_with_sweep = resume and is_sweep(out)
    if config.folds.by and not goes_on_with_sweep:
        return train_folds(
            config, out, resume=resume, overwrite=overwrite
        )  # with a sweep in each fold, if there is one
    if config.sweep.axes or goes_on_with_sweep:
        return train_sweep(config, out, resume=resume, overwrite=overwrite)
    return train_one(config, out, resume=resume, overwrite=overwrite)
