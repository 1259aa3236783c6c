"""The parts of an experiment from its configuration: completed settings, checked rows, task, batches and trainer."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import torch
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.processes import is_main
from audiossl.core.registry import DOWNSTREAMS, OBJECTIVES, UPSTREAMS
from audiossl.core.types import Batch, BatchSource
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import at_speed
from audiossl.data.leaks import check_leaks
from audiossl.data.loader import augmentations_of, check_longest, make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.paired import Beside
from audiossl.data.stream import StreamPlan, check_usable
from audiossl.encoders.building import build_upstream
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.long_audio import LONGEST_WHOLE_S
from audiossl.encoders.row_upstream import check_fields
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.cached_batches import SharedFeatures
from audiossl.experiments.config import DataConfig, Experiment, PretrainExperiment
from audiossl.training.downstream import Downstream
from audiossl.training.joined_interface import interface_for
from audiossl.training.objective import Objective, load_objective
from audiossl.training.task import Task

_log = logging.getLogger(__name__)


def check_rows(task: Downstream, data: DataConfig, cuts: Mapping[str, Iterable[Cut]], where: str = "") -> None:
    """Raise LabelError, ... for rows that the task cannot use, in training also at the highest of its speeds.

    task: what is to use them.
    data: how they are read.
    cuts: the rows by split.
    where: what errors call the rows, with {split} in it. '' for the paths of the manifests.
    """
    for split, rows in cuts.items():
        if split == "train" and data.speeds:
            rows = [at_speed(cut, max(data.speeds)) for cut in rows]
        check_fields(task.upstream, rows)
        try:
            task.check_cuts(rows, where.format(split=split) if where else str(data.path(split)))
        except LabelError as error:
            if split == "train" or not data.subset:
                raise
            raise _of_part(error, data) from error
        task.check_split(rows, split)


def _of_part(error: LabelError, data: DataConfig) -> LabelError:
    return LabelError(
        f"{error} Training is data.subset={data.subset} alone, which may lack a class that the whole has: take more of "
        f"it, or another data.subset_draw."
    )


def check_nothing_trains(config: Experiment) -> None:
    """Raise ConfigError for settings of what trains, with a task of which nothing does."""
    if DOWNSTREAMS.load(config.downstream).trains:
        return
    found = {
        f"finetune.mode={config.finetune.mode}": config.finetune.mode != "none",
        f"adversary.field={config.adversary.field}": bool(config.adversary.field),
        "stages": bool(config.stages),
        f"sweep.budget={config.sweep.budget:g}": bool(config.sweep.budget),
        f"checkpoint={config.checkpoint}": config.checkpoint != "best",
    }
    if asked := [setting for setting, is_there in found.items() if is_there]:
        raise ConfigError(
            f"Nothing of {config.downstream} trains, it only chooses on dev, and {asked[0]} is a setting of what "
            f"trains; leave it out."
        )


def warn_of_leaks(data: DataConfig, cuts: Mapping[str, CutSet]) -> None:
    """Say once by name what the splits share. The test split counts where it is there already."""
    if not is_main():
        return
    test = {"test": read_manifest(data.path("test"))} if data.path("test").is_file() else {}
    for sentence in check_leaks({**cuts, **test}, data.disjoint):
        _log.warning("Warning: %s", sentence)


def complete_config(config: Experiment, cuts: Iterable[Cut]) -> Experiment:
    """The configuration with those options of the task that its training rows determine.

    config: what the user gave.
    cuts: the training rows.
    Raises ConfigError, LabelError, ...
    """
    task_type = DOWNSTREAMS.load(config.downstream)
    options = structured(task_type.Config, config.task, where=f"task options of {config.downstream}")
    options = task_type.complete_by_data(options, config.data)
    try:
        completed = task_type.complete(options, cuts)
    except LabelError as error:
        if not config.data.subset:
            raise
        raise _of_part(error, config.data) from error
    return dataclasses.replace(config, task=as_dict(completed))


def build_downstream(config: Experiment, upstream: Upstream | None = None, *, finetune: bool = True) -> Downstream:
    """Upstream, interface and head of a completed configuration. The new parameters are drawn from the seed.

    config: what to build.
    upstream: the encoder that it names, where it is loaded already.
    finetune: False where others share the encoder, so that nothing is added to it.
    Raises UnknownNameError, ConfigError, CheckpointError.
    """
    upstream = upstream or load_upstream(config.upstream, **config.upstream_options)
    task_type = DOWNSTREAMS.load(config.downstream)
    task_config = structured(task_type.Config, config.task, where=f"task options of {config.downstream}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        interface = interface_for(upstream, config.interface, config.interface_options)
        task: Downstream = task_type(upstream, interface, task_config)
        if config.standardize:
            task.standardize()
        if finetune:
            task.finetune(config.finetune)
            # Layers copied from a teacher and statistics of features are no parameters that train.
            task.stores_upstream = bool(config.distill.teacher)
    return task


def build_objective(config: PretrainExperiment, upstream: Upstream | None = None) -> Objective:
    """An encoder under the objective that is asked for or under its own.

    config: what to build.
    upstream: the encoder that is gone on from. None for one that is freshly initialised from the seed.
    Raises UnknownNameError, and ConfigError where there is no objective or none that can train the encoder.
    """
    card, name = UPSTREAMS.card(config.encoder), objective_name(config)
    if not name:
        raise ConfigError(
            f"upstream {config.encoder!r} has no pre-training objective of its own; choose one by objective=NAME "
            f"(there are: {', '.join(OBJECTIVES.names())})."
        )
    upstream = upstream or build_upstream(config.encoder, {**card.options, **config.upstream_options}, config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        objective = load_objective(name, upstream, **config.objective_options)
    objective.freeze(config.freeze)
    objective.train()  # an encoder is loaded in evaluation mode
    longest_s = config.data.max_crop_s
    if longest_s is not None and longest_s < objective.shortest_s:
        raise ConfigError(
            f"Objective {name!r} learns nothing from less than {objective.shortest_s:.3g} s of sound, and "
            f"data.max_crop_s={longest_s:g}; set at least that."
        )
    return objective


def objective_name(config: PretrainExperiment) -> str:
    """What an encoder is trained by: what is asked for, or what the encoder's card names. '' for neither."""
    return config.objective or str(getattr(UPSTREAMS.card(config.encoder), "objective", ""))


def batch_source(
    task: Task,
    config: Any,
    cuts: Mapping[str, CutSet],
    split: str,
    features: SharedFeatures | None = None,
    beside: Beside | None = None,
) -> BatchSource:
    """Batches of `train` (endless, shuffled) or of another split, for a trainer.

    task: what reads them.
    config: an `Experiment` or a `PretrainExperiment`.
    cuts: the rows of each split.
    split: the one that is wanted.
    features: where hidden states come from, and how rows become batches. None for sound, as `config` says.
    beside: rows that come beside those of `train`. None for none.
    """
    stored = features.batches(split, config.seed) if features else None
    upstream: Upstream = task.upstream  # type: ignore[assignment]
    data = features.data if features else config.data
    plan = StreamPlan.of(upstream, data, seed=config.seed, train=split == "train", copies=config.cache.copies)
    if stored is None:  # before the first step, and before anything is written
        check_longest(cuts[split], plan)
        if augmentations := augmentations_of(cuts[split], plan):
            augmentations.check()
        if split != "train":  # else found at the first evaluation
            check_usable(cuts[split], plan)
        _warn_of_long(cuts[split], data, split)
    return stored or (lambda start, rank, world: make_loader(cuts[split], plan.at(start, rank, world), beside))


def _warn_of_long(cuts: Iterable[Cut], data: LoaderConfig, split: str) -> None:
    """Say that memory is taken by the longest row, where that is much."""
    longest_s = max((cut.duration for cut in cuts), default=0.0)
    if longest_s > LONGEST_WHOLE_S and not (split == "train" and data.max_crop_s) and is_main():
        _log.warning(
            "A row of %s lasts %.0f minutes and is encoded at once; data.max_crop_s=30 in training, or shorter rows, "
            "bound the memory that it takes.",
            split,
            longest_s / 60,
        )


def fit_statistics(task: Task, train_batches: BatchSource, device: torch.device | str = "cpu") -> None:
    """Estimate what is not learnt by gradient, on the first epoch that a trainer will see.

    task: what has something to estimate, or nothing.
    train_batches: the batches that the trainer will read.
    device: where the task will be trained.
    """
    if task.needs_fit:
        task.to(device).eval()
        with torch.no_grad():
            task.fit(_FirstEpoch(train_batches, device))


class _FirstEpoch:
    """The batches of the first epoch of training, from the beginning whenever they are walked through."""

    def __init__(self, train_batches: BatchSource, device: torch.device | str) -> None:
        self._train_batches, self._device = train_batches, device

    def __iter__(self) -> Iterator[Batch]:
        stream = self._train_batches(None, 0, 1)
        first = takewhile(lambda batch: batch.position is None or batch.position.epoch == 0, stream)
        return (batch.to(self._device) for batch in first)
