"""The configuration of an experiment, from YAML and `key=value`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiossl.core.config import merged_layers, parse_overrides, read_saved_yaml, read_yaml, structured, with_long_forms
from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import SEPARATOR, names_in, with_joined_names
from audiossl.core.ranges import CountOrZero, Seed, Share
from audiossl.core.registry import DOWNSTREAMS, UPSTREAMS
from audiossl.data.config import LoaderConfig
from audiossl.data.folds import FoldsConfig
from audiossl.data.manifests import read_manifest
from audiossl.data.mixing import CORPUS, check_shares, read_mixed
from audiossl.data.subsets import read_amount, subset
from audiossl.encoders.encoder_file import has_encoder_file
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.experiments.sweeps.config import SweepConfig
from audiossl.features.config import CacheConfig, FeaturesSetting
from audiossl.training.config import AdversaryConfig, DistillConfig, TrainerConfig

if TYPE_CHECKING:
    from lhotse import CutSet


@dataclass(frozen=True)
class DataConfig(LoaderConfig):
    """Where the rows of each split are, and how they become batches."""

    dir: str = "data"
    """Folder of the manifests."""
    train: str = "train.jsonl.gz"
    """Manifest of the training rows, by its name in `dir` or a path of its own."""
    dev: str = "dev.jsonl.gz"
    """Manifest of the rows by which a checkpoint is chosen, likewise."""
    test: str = "test.jsonl.gz"
    """Manifest of the rows that are scored at last, likewise."""
    all: str = "all.jsonl.gz"
    """Manifest of the rows that folds are drawn from, instead of the three."""
    disjoint: str = ""
    """A field of the rows (speaker, ...) of which no two splits may share a value. 'recording' makes an error of what
    else is a warning. Empty for none."""
    subset: str = ""
    """How much of the training rows is used: a time such as 10min or 1h, or a share such as 10% or 0.1, of each speaker
    in proportion. A smaller part lies within a larger one. Empty for all."""
    subset_draw: CountOrZero = 0
    """Which of many parts of that size. It depends on nothing else but the ids of the rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subset:
            read_amount(self.subset, "data.subset")

    def path(self, split: str) -> Path:
        """The manifest of a split. Beside train, dev, test and all, it is the file `<split>.jsonl.gz` in `dir`."""
        return Path(self.dir) / getattr(self, split, f"{split}.jsonl.gz")

    def rows(self, split: str) -> CutSet:
        """The rows of a split: of train, those of `subset`. Raises ManifestError."""
        rows, part = self._all_rows(split), self.subset if split == "train" else ""
        return subset(rows, part, self.subset_draw, where=str(self.path(split))) if part else rows

    def _all_rows(self, split: str) -> CutSet:
        return read_manifest(self.path(split))


@dataclass(frozen=True)
class ReportConfig:
    """What an evaluation says beyond the metrics of all items."""

    by: list[str] = field(default_factory=list)
    """Columns of the manifest, such as [speaker, sex]: the metrics of each of their groups, and the gap between the
    best group and the worst. It may be changed at any evaluation."""


@dataclass(frozen=True)
class Experiment:
    """A head on an encoder that is frozen or, by `finetune`, trained with it.

    More of `features` is in `audiossl.experiments.feature_form`, of `folds` in `audiossl.data.folds` and of `sweep` in
    `audiossl.experiments.sweeps`.
    """

    downstream: str = "utterance_classification"
    """The task, by a name of `audiossl list downstreams`."""
    setting: str = ""
    """A YAML of the downstream's folder that lies under this configuration, by its name. Empty for none."""
    task: dict[str, Any] = field(default_factory=dict)
    """Options of the downstream, which `audiossl config DOWNSTREAM` lists."""
    upstream: str = "tera_mini"
    """The encoder: a name of `audiossl list upstreams`, a path, a run, or <toolkit>:<file or repository>. Several are a
    list, [hubert_base, log_mel], and are joined before the head."""
    upstream_options: dict[str, Any] = field(default_factory=dict)
    """Options of the encoder, which `audiossl config UPSTREAM` lists, and of how it is loaded: weights, seed,
    precision, engine. Of several encoders those of one are under its name or number, and join says whether they are
    joined frame by frame (frames, as by default) or as means over time (pooled)."""
    interface: str = "weighted_sum"
    """What makes one sequence of the encoder's layers, by a name of `audiossl list interfaces`. Of several encoders one
    for all, or a list with one for each."""
    interface_options: dict[str, Any] = field(default_factory=dict)
    """Options of the interface, which `audiossl config INTERFACE` lists. Of several encoders those of one may be under
    its name or number."""
    standardize: bool = True
    """Whether each dimension of each layer is brought to mean 0 and variance 1 by training rows, before the interface.
    False for layers as the encoder gives them."""
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    """Which parameters of the encoder train beside the head."""
    distill: DistillConfig = field(default_factory=DistillConfig)
    """Distillation from a larger encoder in the same steps."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """A column of the training rows that the head is not to tell, such as the speaker."""
    data: DataConfig = field(default_factory=DataConfig)
    """Manifests, and how their rows become batches."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Optimizer, schedule, evaluations and checkpoints."""
    features: FeaturesSetting = "auto"
    """Whether hidden states of a frozen encoder are computed once and kept: 'frames', 'pooled' (their mean over time),
    'off', or 'auto' for what changes nothing and fits into the `cache`."""
    cache: CacheConfig = field(default_factory=CacheConfig)
    """Where hidden states are kept, and how many."""
    checkpoint: Literal["best", "last", "averaged"] = "best"
    """Which weights are evaluated and predict. 'averaged' is the mean of the best, and needs trainer.average_best."""
    folds: FoldsConfig = field(default_factory=FoldsConfig)
    """A cross-validation on the rows of `data.all`, by `folds=leave_one_out:speaker` for instance."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    """Several learning rates, seeds, interfaces, heads, ways of fine-tuning or adversaries at once."""
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Later stages by name with the settings that change, each from the weights of the one before. Empty for none."""
    report: ReportConfig = field(default_factory=ReportConfig)
    """Groups of items that an evaluation looks at one by one."""
    seed: Seed = 0
    """Seed of the head's first weights, of the order of the rows and of the folds."""

    def __post_init__(self) -> None:
        if self.distill.teacher and self.finetune.mode == "none":
            raise ConfigError(
                f"distill.teacher={self.distill.teacher} trains the encoder, and finetune.mode=none keeps it as it is; "
                f"set finetune.mode=all, for instance."
            )
        if self.adversary.reaches == "encoder" and self.adversary.trains and self.finetune.mode == "none":
            raise ConfigError(
                "adversary.reaches=encoder trains the encoder, and finetune.mode=none keeps it as it is; set "
                "finetune.mode=all, for instance, or adversary.reaches=head."
            )
        if self.sweep.adversary and not self.adversary.field:
            raise ConfigError("sweep.adversary has weights of an adversary of no column; name one by adversary.field.")
        if self.cache.copies and self.finetune.mode != "none":
            raise ConfigError(
                f"cache.copies={self.cache.copies} keeps what a frozen encoder gives, and finetune.mode="
                f"{self.finetune.mode} trains it; leave one of them out."
            )

    @property
    def manifests(self) -> dict[str, Path]:
        """The manifests that it reads, by split: one of all rows where folds are drawn."""
        return {split: self.data.path(split) for split in (("all",) if self.folds.by else ("train", "dev", "test"))}


@dataclass(frozen=True)
class PretrainData(DataConfig):
    """As `DataConfig`, where the training rows may come from several manifests."""

    mix: dict[str, Share] = field(default_factory=dict)
    """Manifests in place of `train`, by a name in `dir` or a path of their own, with the share of the sound of an epoch
    that each has: {train.jsonl.gz: 0.8, ../b/train.jsonl.gz: 0.2}. The field "corpus" of a row says which it is of.
    Empty for `train` alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mix:
            check_shares(self.mix, "data.mix")

    @property
    def shares(self) -> Mapping[str, Mapping[str, float]]:
        return {CORPUS: self.mix, **self.compose} if self.mix else self.compose

    def _all_rows(self, split: str) -> CutSet:
        """The rows of a split, of all manifests that are mixed."""
        return read_mixed(self.mixed_paths) if self.mix and split == "train" else read_manifest(self.path(split))

    @property
    def mixed_paths(self) -> dict[str, Path]:
        """The manifests that are mixed, by their names in `mix`."""
        return {name: Path(self.dir) / name for name in self.mix}


@dataclass(frozen=True)
class ProbeConfig:
    """A probe that runs during pre-training, and whose accuracy on dev is a curve of the log."""

    every: CountOrZero = 0
    """Steps between two probes, a multiple of trainer.eval_every. 0 for none."""
    dir: str = ""
    """Folder with a labelled train.jsonl.gz to fit the probe on, and dev.jsonl.gz to score it."""
    field: str = "label"
    """The column with the classes."""
    layers: str = "all"
    """Layers that are probed: all, last, or numbers and ranges such as 0,6-8. The best on dev is logged."""


@dataclass(frozen=True)
class PretrainExperiment:
    """An encoder under an objective."""

    name: str = "encoder"
    """What the result is called."""
    init: str = ""
    """What to go on from: an encoder by name, a path, a run, or <toolkit>:<file or repository>. The objective takes
    what fits of an earlier run's heads, or of those beside a published encoder. The optimizer starts afresh. Empty for
    nothing."""
    upstream: str = ""
    """The encoder, by a name of `audiossl list upstreams`. Empty for that of `init`, or for tera without one."""
    upstream_options: dict[str, Any] = field(default_factory=dict)
    """Options of the encoder, which `audiossl config UPSTREAM` lists. With `init`, those that make it no other encoder,
    such as dropout."""
    freeze: list[str] = field(default_factory=list)
    """Parts of the encoder that stay as they are, by the names of its modules: [stem] for the convolutions of a
    waveform encoder, blocks.0 for its first block. Empty for none."""
    objective: str = ""
    """What it is trained by, a name of `audiossl list objectives`. Empty for the one that the encoder's card names."""
    objective_options: dict[str, Any] = field(default_factory=dict)
    """Options of the objective, which `audiossl config objective:NAME` lists."""
    data: PretrainData = field(default_factory=PretrainData)
    """Manifests, and how their rows become batches."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Optimizer, schedule, evaluations and checkpoints."""
    cache: CacheConfig = field(default_factory=CacheConfig)
    """Where hidden states of a frozen teacher are kept, and how many, where an objective has them computed once."""
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    """A classifier on the encoder as it is at an evaluation, to see whether it gets better."""
    seed: Seed = 0
    """Seed of the first weights and of the order of the rows."""

    def __post_init__(self) -> None:
        if self.cache.copies:
            raise ConfigError(
                f"cache.copies={self.cache.copies} is for heads on a frozen encoder, and pre-training hears new sound "
                f"in every epoch; leave it out."
            )
        every = self.trainer.eval_every
        if self.probe.every and (not every or self.probe.every % every):
            raise ConfigError(
                f"probe.every={self.probe.every} must be a multiple of trainer.eval_every={every}, for a probe belongs "
                "to an evaluation on dev."
            )

    @property
    def encoder(self) -> str:
        """The registered name of the encoder that is built where there is no `init`."""
        return self.upstream or "tera"


def read_experiment(
    path: Path | None, overrides: Sequence[str] = (), *, pretrain: bool = False, saved: bool = False
) -> Any:
    """Defaults, then the downstream's setting, then the YAML file, then `key=value`s. Raises ConfigError.

    `finetune=lora` stands for `finetune.mode=lora` and `folds=k:5` for `folds.by=k:5`, in YAML too.

    path: the YAML file. None for defaults alone.
    overrides: changes to it as key=value.
    pretrain: whether it is a `PretrainExperiment`.
    saved: whether it is the configuration of a run, which must be whole.
    """
    schema = PretrainExperiment if pretrain else Experiment
    layers: list[Mapping[str, Any]] = [(read_saved_yaml if saved else read_yaml)(path)] if path else []
    layers.append(parse_overrides(overrides, schema))
    where = f"configuration {path}" if path else "configuration"
    if pretrain:
        return structured(schema, *map(with_named_objective, layers), where=where)
    return experiment_of(layers, where)


def experiment_of(layers: Sequence[Mapping[str, Any]], where: str) -> Experiment:
    """Defaults, then the setting that the layers name, then the layers in turn. Raises ConfigError.

    layers: of an `Experiment`.
    where: what an error calls them.
    """
    layers = [with_joined_names(layer) for layer in layers]
    config = structured(Experiment, *layers, where=where)
    if not config.setting:
        return config
    return structured(Experiment, read_setting(config.downstream, config.setting), *layers, where=where)


def with_named_objective(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A layer of earlier versions, in which `objective` held the settings that are `objective_options` now."""
    options = layer.get("objective")
    if not isinstance(options, Mapping):
        return layer
    rest = {key: value for key, value in layer.items() if key != "objective"}
    return {**rest, "objective_options": merged_layers(options, rest.get("objective_options") or {})}


def inputs_of(config: Any) -> list[Path]:
    """Files and folders that a training reads: manifests, the encoder, an earlier run, and what options name.

    config: an `Experiment` or a `PretrainExperiment`.
    Names of registered encoders are no paths. Some of the paths may not be there.
    """
    data: DataConfig = config.data
    named = [str(data.dir), *(str(data.path(split)) for split in ("train", "dev", "test", "all"))]
    named += [str(path) for path in getattr(data, "mixed_paths", {}).values()]
    probed = getattr(config, "probe", None)
    taught = getattr(config, "distill", None)
    named += [
        text for text in (*names_in(config.upstream), getattr(config, "init", ""), probed.dir if probed else "") if text
    ]
    named += [text for text in (taught.teacher, taught.data) if text] if taught else []
    for options in ("upstream_options", "task", "interface_options", "objective_options"):
        named += _paths_among(getattr(config, options, {}))
    return [Path(text) for name in named if name not in UPSTREAMS for text in (name, name.partition(":")[2]) if text]


def _paths_among(options: Any) -> Iterator[str]:
    """The texts in options that look like a path, or are the name of a folder with an encoder."""
    if isinstance(options, Mapping | list):
        for each in options.values() if isinstance(options, Mapping) else options:
            yield from _paths_among(each)
    elif isinstance(options, str) and ("/" in options or "." in options or has_encoder_file(Path(options))):
        yield options


def default_out(path: Path | None, config: Any) -> Path:
    """runs/<recipe>/<what is compared>, for a user who names no folder."""
    name = f"{path.parent.name}-{path.stem}" if path else "experiment"
    if isinstance(config, PretrainExperiment):
        return Path("runs") / name / f"seed{config.seed}"
    upstream = config.upstream.replace(SEPARATOR, "+").replace("/", "_").replace(":", "_")
    finetuned = "" if config.finetune.mode == "none" else f"-{config.finetune.mode}"
    finetuned += "-distilled" if config.distill.teacher else ""
    finetuned += f"-adversary{config.adversary.weight:g}" if config.adversary.trains else ""
    last = "-".join(["sweep", *config.sweep.axes]) if config.sweep.axes else f"seed{config.seed}"
    interface = config.interface.replace(SEPARATOR, "+")
    return Path("runs") / name / f"{upstream}-{interface}{finetuned}-{last}"


def read_settings(path: Path) -> dict[str, Any]:
    """A run's YAML as a config layer, `finetune: lora` and `folds: k:5` written out. Raises ConfigError."""
    return with_joined_names(with_long_forms(Experiment, read_saved_yaml(path)))


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=value`s for a run, `finetune=lora` written out."""
    return with_joined_names(parse_overrides(pairs, Experiment))


def setting_names(downstream: str) -> list[str]:
    """The settings that lie in a downstream's folder, sorted."""
    return sorted(file.stem for file in _folder_of(downstream).glob("*.yaml"))


def read_setting(downstream: str, setting: str) -> dict[str, Any]:
    """The YAML of a downstream's setting as a config layer. Raises ConfigError for one that it does not have."""
    known = setting_names(downstream)
    if setting not in known:
        raise ConfigError(f"{downstream} has no setting {setting!r}; it has: {', '.join(known) or 'none'}.")
    return read_yaml(_folder_of(downstream) / f"{setting}.yaml")


def _folder_of(downstream: str) -> Path:
    # Found, not loaded: reading settings needs no torch.
    module = DOWNSTREAMS.card(downstream).target.partition(":")[0]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        raise ConfigError(f"The code of {downstream!r} has no folder of its own ({module}), so it has no settings.")
    return Path(spec.origin).parent
