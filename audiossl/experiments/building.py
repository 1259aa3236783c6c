"""Experiments: a configuration becomes a run folder (`audiossl.experiments.run` makes predictions of it).

RUN/config.yaml (all settings), run.json (command, versions, weights), log.jsonl, tensorboard/, checkpoints/,
interface.json and figures/.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError
from audiossl.core.registry import DOWNSTREAMS, OBJECTIVES, UPSTREAMS
from audiossl.core.types import Batch, BatchSource, Position
from audiossl.data.leaks import check_leaks
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.stream import at_speed
from audiossl.encoders.building import build_upstream
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import (
    DataConfig,
    Experiment,
    PretrainExperiment,
)
from audiossl.training.downstream import Downstream
from audiossl.training.interface import build_interface
from audiossl.training.objective import Objective, load_objective
from audiossl.training.task import Task
from audiossl.training.trainer import Trainer

_log = logging.getLogger(__name__)


def check_rows(task: Downstream, data: DataConfig, cuts: Mapping[str, CutSet]) -> None:
    """Raise LabelError, ... for rows that the task cannot use, in training also at the highest of its speeds."""
    for split, rows in cuts.items():
        if split == "train" and data.speeds:
            rows = CutSet.from_cuts(at_speed(cut, max(data.speeds)) for cut in rows)
        task.check_cuts(rows, str(data.path(split)))
        task.check_split(rows, split)


def warn_of_leaks(data: DataConfig, cuts: Mapping[str, CutSet]) -> None:
    """Say once by name what the splits share; the test split counts where it is there already."""
    if os.environ.get("RANK", "0") != "0":
        return
    test = {"test": read_manifest(data.path("test"))} if data.path("test").is_file() else {}
    for sentence in check_leaks({**cuts, **test}, data.disjoint):
        _log.warning("Warning: %s", sentence)


def completed(config: Experiment, cuts: CutSet) -> Experiment:
    """With the options of the task that its training rows determine. Raises ConfigError, LabelError, ..."""
    task_type = DOWNSTREAMS.load(config.downstream)
    options = structured(task_type.Config, config.task, where=f"task options of {config.downstream}")
    return dataclasses.replace(config, task=as_dict(task_type.complete(options, cuts)))


def build_downstream(config: Experiment, upstream: Upstream | None = None) -> Downstream:
    """Upstream, interface and head of a completed configuration; the new parameters are drawn from the seed.

    upstream: the one that `config` names, where it is loaded already.
    """
    upstream = upstream or load_upstream(config.upstream, **config.upstream_options)
    task_type = DOWNSTREAMS.load(config.downstream)
    task_config = structured(task_type.Config, config.task, where=f"task options of {config.downstream}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        interface = build_interface(config.interface, upstream.widths, config.interface_options)
        task: Downstream = task_type(upstream, interface, task_config)
        task.finetune(config.finetune)
    return task


def build_objective(config: PretrainExperiment) -> Objective:
    """The encoder, freshly initialised from the seed, under the objective that is asked for or under its own."""
    card = UPSTREAMS.card(config.upstream)
    name = config.objective or getattr(card, "objective", "")
    if not name:
        raise ConfigError(
            f"upstream {config.upstream!r} has no pre-training objective of its own; choose one by objective=NAME "
            f"(there are: {', '.join(OBJECTIVES.names())})."
        )
    upstream = build_upstream(config.upstream, {**card.options, **config.upstream_options}, config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        return load_objective(name, upstream, **config.objective_options)


def trainer_of(task: Task, config: Any, out: Path, cuts: Mapping[str, CutSet]) -> Trainer:
    """A trainer in the run folder `out`, on batches of sound of `train` and `dev`."""
    upstream: Upstream = task.upstream  # type: ignore[assignment]

    def source(split: str, training: bool) -> BatchSource:
        def batches(start: Position | None, rank: int, world: int) -> Iterable[Batch]:
            return batches_of(cuts[split], config.data, upstream, training, config.seed, start, rank, world)

        return batches

    return Trainer(task, config.trainer, out, source("train", True), source("dev", False), seed=config.seed)


def batches_of(
    cuts: CutSet,
    data: DataConfig,
    upstream: Upstream,
    train: bool = False,
    seed: int = 0,
    start: Position | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterable[Batch]:
    """Batches of sound as the upstream wants it; see `make_loader`."""
    return make_loader(
        cuts,
        data,
        sample_rate_hz=upstream.sample_rate_hz,
        min_samples=upstream.min_samples,
        seed=seed,
        train=train,
        start=start,
        rank=rank,
        world_size=world,
    )


def fit_statistics(task: Task, trainer: Trainer) -> None:
    """Estimate what is not learnt by gradient, on the first epoch that the trainer will see."""
    if task.needs_fit:
        stream = trainer.train_batches(None, 0, 1)
        task.eval()
        with torch.no_grad():
            task.fit(takewhile(lambda batch: batch.position is None or batch.position.epoch == 0, stream))
