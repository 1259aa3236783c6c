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
from typing import Any

import torch
from lhotse import CutSet

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError
from audiossl.core.registry import DOWNSTREAMS, UPSTREAMS, import_target
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
from audiossl.training.objective import Pretraining
from audiossl.training.task import Task

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


def build_pretraining(config: PretrainExperiment) -> Pretraining:
    """The encoder, freshly initialised from the seed, under its objective."""
    card = UPSTREAMS.card(config.upstream)
    if not getattr(card, "objective", ""):
        raise ConfigError(f"upstream {config.upstream!r} has no pre-training objective.")
    upstream = build_upstream(config.upstream, {**card.options, **config.upstream_options}, config.seed)
    task_type = import_target(card.objective)  # type: ignore[attr-defined]
    options = structured(task_type.Config, config.objective, where=f"objective of {config.upstream}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        task: Pretraining = task_type(upstream, options)
    return task


def sound_batches(task: Task, config: Any, cuts: Mapping[str, CutSet], split: str) -> BatchSource:
    """Batches of sound of `train` (endless, shuffled) or of another split, for a trainer."""
    upstream: Upstream = task.upstream  # type: ignore[assignment]

    def batches(start: Position | None, rank: int, world: int) -> Iterable[Batch]:
        return batches_of(cuts[split], config.data, upstream, split == "train", config.seed, start, rank, world)

    return batches


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


def fit_statistics(task: Task, train_batches: BatchSource) -> None:
    """Estimate what is not learnt by gradient, on the first epoch that a trainer will see."""
    if task.needs_fit:
        stream = train_batches(None, 0, 1)
        task.eval()
        with torch.no_grad():
            task.fit(takewhile(lambda batch: batch.position is None or batch.position.epoch == 0, stream))
