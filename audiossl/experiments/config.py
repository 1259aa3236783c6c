"""The configuration of an experiment, from YAML and `key=value`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from audiossl.core.config import parse_overrides, read_yaml, structured
from audiossl.core.errors import ConfigError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.data.folds import FoldsConfig
from audiossl.data.stream import LoaderConfig
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.features.config import CacheConfig
from audiossl.training.config import TrainerConfig

SHORT = {"finetune": "mode", "folds": "by"}  # settings that stand for one of their keys


_AXES = ("interface", "task", "lr", "seed")  # in the order in which they name a member


@dataclass(frozen=True)
class SweepConfig:
    """Values to try; each combination of those that are given is a member. None are given by default.

    lr: of trainer.lr; seed: of seed; interface: names, or mappings such as {name: layer, index: 3} for one with options
    of its own, beside interface_options; task: options of the head, as in [{pooling: mean}, {pooling: max}], over those
    of `task`. stack: 'auto' computes small heads that differ in nothing but the learning rate as one (their results
    then differ from those of separate runs by rounding); 'off' lets them take turns, which is equal bit by bit.
    """

    lr: list[float] = field(default_factory=list)
    seed: list[int] = field(default_factory=list)
    interface: list[Any] = field(default_factory=list)
    task: list[dict[str, Any]] = field(default_factory=list)
    stack: Literal["auto", "off"] = "auto"

    def __post_init__(self) -> None:
        for lr in self.lr:
            if not (lr > 0 and math.isfinite(lr)):
                raise ConfigError(f"sweep.lr has {lr:g}, and every learning rate must be above zero.")
        for choice in self.interface:
            name = choice.get("name") if isinstance(choice, Mapping) else choice
            if not isinstance(name, str):
                raise ConfigError(
                    f"sweep.interface has {choice!r}; write names, or mappings such as {{name: layer, index: 3}}."
                )
        for axis, values in self.axes.items():
            for value in values:
                if values.count(value) > 1:
                    raise ConfigError(f"sweep.{axis} has {_text(value)} twice; leave one of them out.")

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What is swept over; empty for no sweep."""
        return {axis: list(values) for axis in _AXES if (values := getattr(self, axis))}


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


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
    changes nothing and fits into the `cache`; see `audiossl.experiments.feature_form`. checkpoint: which weights are
    evaluated and predict; 'averaged' is the mean of the best, and needs trainer.average_best. folds: a cross-validation
    on the rows of `data.all`, by `folds=leave_one_out:speaker` for instance; see `audiossl.data.folds`. sweep: several
    learning rates, seeds, interfaces or heads at once; see `audiossl.experiments.sweeps`.
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
    """An encoder under an objective.

    name: what the result is called; init: the folder of an earlier pre-training run to go on from, with other settings
    (its best weights, the heads of the objective included; the optimizer starts afresh).
    """

    name: str = "encoder"
    init: str = ""
    upstream: str = "tera"
    upstream_options: dict[str, Any] = field(default_factory=dict)
    objective: str = ""
    """Name of the objective; empty: the one that the encoder's card names."""
    objective_options: dict[str, Any] = field(default_factory=dict)
    """Settings of the objective, over its defaults."""
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0


def read_experiment(path: Path | None, overrides: Sequence[str] = (), *, pretrain: bool = False) -> Any:
    """Defaults, then the downstream's setting, then the YAML file, then `key=value`s. Raises ConfigError.

    `finetune=lora` stands for `finetune.mode=lora` and `folds=k:5` for `folds.by=k:5`, in YAML too.
    """
    layers = [read_settings(path)] if path else []
    layers.append(parse_settings(overrides))
    if pretrain:
        layers = [with_named_objective(layer) for layer in layers]
    schema = PretrainExperiment if pretrain else Experiment
    where = f"configuration {path}" if path else "configuration"
    config: Any = structured(schema, *layers, where=where)
    if not pretrain and config.setting:
        layers.insert(0, _setting(config.downstream, config.setting))
        config = structured(schema, *layers, where=where)
    return config


def with_named_objective(layer: DictConfig) -> DictConfig:
    """A layer of earlier versions, in which `objective` held the settings that are `objective_options` now."""
    if isinstance(layer.get("objective"), DictConfig):
        options = layer.pop("objective")
        layer.objective_options = OmegaConf.merge(options, layer.get("objective_options") or {})
    return layer


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
