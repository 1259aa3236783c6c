"""Experiments: a configuration becomes a run folder (and `audiossl.run` makes predictions and metrics of that).

RUN/config.yaml (all settings), run.json (command, versions, weights), log.jsonl, tensorboard/, checkpoints/,
interface.json and figures/.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import torch
from lhotse import CutSet
from omegaconf import DictConfig

from audiossl.checkpoint import fingerprint, save_upstream
from audiossl.config import as_dict, parse_overrides, read_yaml, structured
from audiossl.data.checks import check_leaks
from audiossl.data.loader import LoaderConfig, at_speed, make_loader
from audiossl.data.manifests import read_manifest
from audiossl.downstream import Downstream
from audiossl.errors import ConfigError
from audiossl.evaluate import write_json
from audiossl.features.config import CacheConfig, Form
from audiossl.features.feed import Feed
from audiossl.finetuning import FinetuneConfig
from audiossl.folds import FoldsConfig
from audiossl.interface import build_interface
from audiossl.pretraining import Pretraining
from audiossl.registry import DOWNSTREAMS, UPSTREAMS, import_target
from audiossl.run_folder import describe, form_of, read_facts, restore, run_folder, write_interface
from audiossl.sweep import SweepConfig, is_sweep
from audiossl.task import Task
from audiossl.trainer import BatchSource, Trainer, TrainerConfig
from audiossl.types import Batch, Position
from audiossl.upstream import Upstream, build_upstream, load_upstream

SHORT = {"finetune": "mode", "folds": "by"}  # settings that stand for one of their keys

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig(LoaderConfig):
    """dir: folder of the manifests; train, dev, test: their names in it (or paths of their own); all: of the rows that
    folds are drawn from, instead of the three. disjoint: a field of the rows (speaker, ...) of which no two splits may
    share a value; 'recording' makes an error of what else is a warning."""

    dir: str = "data"
    train: str = "train.jsonl.gz"
    dev: str = "dev.jsonl.gz"
    test: str = "test.jsonl.gz"
    all: str = "all.jsonl.gz"
    disjoint: str = ""

    def path(self, split: str) -> Path:
        """The manifest of a split; another name than train, dev, test and all is a file `<split>.jsonl.gz` in `dir`."""
        return Path(self.dir) / getattr(self, split, f"{split}.jsonl.gz")


@dataclass(frozen=True)
class Experiment:
    """A head on an encoder that is frozen or, by `finetune`, trained with it.

    setting: a YAML of the downstream's folder that lies under this configuration. features: whether hidden states of a
    frozen encoder are computed once and kept: 'frames', 'pooled' (their mean over time), 'off', or 'auto' for what
    changes nothing and fits into the `cache`; see `audiossl.features.choice`. checkpoint: which weights are evaluated
    and predict; 'averaged' is the mean of the best, and needs trainer.average_best. folds: a cross-validation on the
    rows of `data.all`, by `folds=leave_one_out:speaker` for instance; see `audiossl.folds`. sweep: several learning
    rates, seeds, interfaces or heads at once; see `audiossl.sweep`.
    """

    downstream: str = "utterance_classification"
    setting: str = ""
    task: dict[str, Any] = field(default_factory=dict)
    upstream: str = "tera_mini"
    upstream_options: dict[str, Any] = field(default_factory=dict)
    interface: str = "weighted_sum"
    interface_options: dict[str, Any] = field(default_factory=dict)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    features: Literal["auto", "frames", "pooled", "stats", "off"] = "auto"
    cache: CacheConfig = field(default_factory=CacheConfig)
    checkpoint: Literal["best", "last", "averaged"] = "best"
    folds: FoldsConfig = field(default_factory=FoldsConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    seed: int = 0


@dataclass(frozen=True)
class PretrainExperiment:
    """An encoder with its own objective.

    name: what the result is called; init: the folder of an earlier pre-training run to go on from, with other settings
    (its best weights, the heads of the objective included; the optimizer starts afresh).
    """

    name: str = "encoder"
    init: str = ""
    upstream: str = "tera"
    upstream_options: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0


def read_experiment(path: Path | None, overrides: Sequence[str] = (), *, pretrain: bool = False) -> Any:
    """Defaults, then the downstream's setting, then the YAML file, then `key=value`s. Raises ConfigError.

    `finetune=lora` stands for `finetune.mode=lora` and `folds=k:5` for `folds.by=k:5`, in YAML too.
    """
    layers: list[DictConfig | Mapping[str, Any]] = [read_settings(path)] if path else []
    layers.append(parse_settings(overrides))
    schema = PretrainExperiment if pretrain else Experiment
    where = f"configuration {path}" if path else "configuration"
    config: Any = structured(schema, *layers, where=where)
    if not pretrain and config.setting:
        layers.insert(0, _setting(config.downstream, config.setting))
        config = structured(schema, *layers, where=where)
    return config


def train(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train a head in the run folder `out`, or one for each fold or for each member of a sweep.

    Raises TrainingError if there is a run already.
    """
    if config.sweep.axes or (resume and is_sweep(out)):
        from audiossl.sweep_training import train_sweep

        return train_sweep(config, out, resume=resume, overwrite=overwrite)
    if config.folds.by:
        from audiossl.cross_validation import train_folds

        return train_folds(config, out, resume=resume, overwrite=overwrite)
    with run_folder(out, resume=resume, overwrite=overwrite):
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        config = completed(config, cuts["train"])
        upstream = load_upstream(config.upstream, **config.upstream_options)
        print_of_upstream = fingerprint(upstream)  # of the weights as they come, before anything is added to them
        task = build_downstream(config, upstream)
        check_rows(task, config.data, cuts)
        warn_of_leaks(config.data, cuts)
        form = form_of(out) if resume else None
        feed = feed_of(config, task, print_of_upstream, form, config.trainer.precision)
        feed.check()
        trainer = trainer_of(task, config, out, cuts)
        describe(out, config, task, trainer, resume, print_of_upstream)
        with feed.serving(trainer, cuts) as form:
            if trainer.accelerator.is_main_process:
                write_json(out / "run.json", {**read_facts(out), "features": form})
            if not resume:
                fit_statistics(task, trainer)
            trainer.fit(resume=resume)
        if trainer.accelerator.is_main_process:
            write_interface(task, config, out)
    return out


def pretrain(config: PretrainExperiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Pre-train an encoder in the run folder `out`; writes `upstream.safetensors`, which `load_upstream(out)` reads."""
    with run_folder(out, resume=resume, overwrite=overwrite):
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        task = build_pretraining(config)
        trainer = trainer_of(task, config, out, cuts)
        describe(out, config, task, trainer, resume)
        if config.init and not resume:
            restore(task, Path(config.init), "best")
        if not resume:
            fit_statistics(task, trainer)
        state = trainer.fit(resume=resume)
        if trainer.accelerator.is_main_process:
            restore(task, out, "best")
            kept = state.best[0] if state.best else None
            card = {"name": config.name, "step": kept.step if kept else state.step, "seed": config.seed}
            card |= {"dev_loss": kept.value} if kept else {}
            save_upstream(task.upstream, out / "upstream.safetensors", card)
    return out


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


def default_out(path: Path | None, config: Any) -> Path:
    """runs/<recipe>/<what is compared>, for a user who names no folder."""
    name = f"{path.parent.name}-{path.stem}" if path else "experiment"
    if isinstance(config, PretrainExperiment):
        return Path("runs") / name / f"seed{config.seed}"
    upstream = config.upstream.replace("/", "_").replace(":", "_")
    finetuned = "" if config.finetune.mode == "none" else f"-{config.finetune.mode}"
    last = "-".join(["sweep", *config.sweep.axes]) if config.sweep.axes else f"seed{config.seed}"
    return Path("runs") / name / f"{upstream}-{config.interface}{finetuned}-{last}"


def read_settings(path: Path) -> DictConfig:
    """A YAML file, `finetune: lora` and `folds: k:5` written out."""
    layer = read_yaml(path)
    for name, key in SHORT.items():
        if isinstance(layer.get(name), str):
            layer[name] = {key: layer[name]}
    return _off_as_text(layer)


def _off_as_text(layer: DictConfig) -> DictConfig:
    """YAML reads a bare `off` as false."""
    if layer.get("features") is False:
        layer.features = "off"
    if isinstance(sweep := layer.get("sweep"), DictConfig) and sweep.get("stack") is False:
        sweep.stack = "off"
    return layer


def parse_settings(pairs: Sequence[str]) -> DictConfig:
    """`key=value`s, `finetune=lora` written out (but not `finetune={mode: lora, top_k: 2}`)."""
    written_out = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        written_out.append(f"{name}.{SHORT[name]}={value}" if name in SHORT and "{" not in value else pair)
    return _off_as_text(parse_overrides(written_out))


def _setting(downstream: str, setting: str) -> DictConfig:
    module = sys.modules[DOWNSTREAMS.load(downstream).__module__]
    folder = Path(str(module.__file__)).parent
    path = folder / f"{setting}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{downstream} has no setting {setting!r}; it has: {known}.")
    return read_settings(path)


def trainer_of(task: Task, config: Any, out: Path, cuts: Mapping[str, CutSet]) -> Trainer:
    """A trainer in the run folder `out`, on batches of sound of `train` and `dev`."""
    upstream: Upstream = task.upstream  # type: ignore[assignment]

    def source(split: str, training: bool) -> BatchSource:
        def batches(start: Position | None, rank: int, world: int) -> Iterable[Batch]:
            return batches_of(cuts[split], config.data, upstream, training, config.seed, start, rank, world)

        return batches

    return Trainer(task, config.trainer, out, source("train", True), source("dev", False), seed=config.seed)


def feed_of(
    config: Experiment,
    task: Downstream,
    fingerprint: str,
    form: Form | None,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
) -> Feed:
    """form: which an earlier part of the run used."""
    return Feed(task, fingerprint, config.data, config.cache, config.features, form, precision, device)


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
