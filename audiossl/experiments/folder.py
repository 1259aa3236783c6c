"""The folder of a run: what lies where in it, what it says of itself, and who may write it.

RUN/config.yaml        all settings, written last: it makes the folder one that can be gone on with
RUN/run.json           command, versions, sizes, fingerprint of the encoder (`RunFacts`)
RUN/encoder.json       the encoder that the run leaves (`audiossl.encoders.encoder_file`)
RUN/log.jsonl, tensorboard/, figures/, checkpoints/      what training writes
RUN/trackers.json      the runs of trackers that follow the log
RUN/interface.json     weights of the layers, written when a run is finished
RUN/embeddings/        of the items of splits (`audiossl.experiments.embedding_store`)
RUN/<split>/           predictions.jsonl, metrics.json and pictures of an evaluation
RUN/stages/<number>/                                     a run for each stage before the last, which is RUN itself
RUN/sweep.json, RUN/<member>/                            of a sweep, with a run in each member
RUN/folds.json, manifests/<fold>/, folds/<fold>/         of a cross-validation, with a run in each fold
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_type_hints

from audiossl.core.config import as_dict, save_yaml, structured
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError, TrainingError
from audiossl.core.files import open_no_link, read_json, remove_parts, write_json
from audiossl.core.locks import try_lock_file
from audiossl.core.outputs import check_out
from audiossl.core.processes import is_main
from audiossl.core.tensors import read_tensors
from audiossl.core.typed_json import check_types
from audiossl.encoders.encoder_file import RUN_NAME, UPSTREAM_NAME, EncoderFile, has_encoder_file
from audiossl.experiments.config import Experiment, parse_settings, read_settings
from audiossl.experiments.leftovers import (
    CONFIG_NAME,
    HALF_WRITTEN,
    LOCK_NAME,
    PARTS_OF_A_RUN,
    STAGES_NAME,
    has_weights,
    is_of_a_run,
    remove_written,
    written_in,
)
from audiossl.experiments.split_folder import SplitFolder
from audiossl.experiments.stages import stage_configs
from audiossl.features.config import Form
from audiossl.training.checkpoints import Checkpoints
from audiossl.training.log import LOG_NAME, read_log
from audiossl.training.task import Task

_PACKAGES = {"audiossl": "audiossl-toolkit"} | {
    name: name for name in ("torch", "numpy", "lhotse", "accelerate", "transformers")
}
Kind = Literal["single", "sweep", "cross_validation", "pretraining"]


def this_command() -> str:
    """The command line of this process, as it is kept in run.json."""
    return " ".join(["audiossl", *sys.argv[1:]])


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions_here() -> dict[str, str]:
    """Of audiossl and of the packages that decide results."""
    found = {}
    for name, package in _PACKAGES.items():
        with suppress(PackageNotFoundError):  # some are extras
            found[name] = version(package)
    return found


@dataclass(frozen=True)
class RunFacts:
    """What run.json says. Facts that a kind of run does not have stay None and are not written.

    `folder` is where the command was given, which relative paths of the configuration are relative to. `identity` is
    what decides the result (`audiossl.experiments.identity.keys`), and `key` the hash of it, by which a suite knows a
    cell. Runs of members and runs whose parts had unlike identities have none. `probe` says which probe became the
    head of the run (`audiossl.experiments.probe_runs`), and what dev chose for it. `stages` says how many there are.
    """

    command: str = field(default_factory=this_command)
    created: str = field(default_factory=now)
    folder: str = field(default_factory=os.getcwd)
    num_parameters: int | None = None
    num_trainable: int | None = None
    processes: int | None = None
    versions: dict[str, str] = field(default_factory=versions_here)
    num_trainable_head: int | None = None
    num_trainable_upstream: int | None = None
    upstream_fingerprint: str | None = None
    features: Form | None = None
    key: str | None = None
    identity: dict[str, Any] | None = None
    members: list[str] | None = None
    folds: list[str] | None = None
    stages: int | None = None
    probe: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunFacts:
        """What was written, also by a version that knew other facts. Raises AudiosslError for values of other types."""
        known = {each.name for each in fields(cls)}
        check_types(stored, get_type_hints(cls), RUN_NAME, "train again with --overwrite")
        empty: dict[str, Any] = {"command": "", "created": "", "folder": "", "versions": {}}
        return cls(**{**empty, **{key: value for key, value in stored.items() if key in known}})

    def as_json(self) -> dict[str, Any]:
        """What is written: the facts that this run has."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class LayerWeights(NamedTuple):
    """What interface.json says: the interface's name, and the weight of each layer by group of layers."""

    name: str
    layer_weights: dict[str, list[float]]


class RunFolder:
    """What lies where in the run folder `path`, which need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config_path(self) -> Path:
        return self.path / CONFIG_NAME

    @property
    def facts_path(self) -> Path:
        return self.path / RUN_NAME

    @property
    def log_path(self) -> Path:
        return self.path / LOG_NAME

    @property
    def interface_path(self) -> Path:
        return self.path / "interface.json"

    @property
    def sweep_path(self) -> Path:
        return self.path / "sweep.json"

    @property
    def folds_path(self) -> Path:
        return self.path / "folds.json"

    @property
    def figures_path(self) -> Path:
        return self.path / "figures"

    @property
    def upstream_path(self) -> Path:
        """The encoder that a pre-training has made."""
        return self.path / UPSTREAM_NAME

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here, so that it can be gone on with. Others have files named config.yaml, too."""
        return self.config_path.is_file() and (self.facts_path.is_file() or self.folds_path.is_file())

    @property
    def is_finished(self) -> bool:
        """Whether the head of a single run was trained to its end."""
        return self.interface_path.is_file()

    @property
    def can_resume(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self.checkpoint("last").is_file()

    @property
    def kind(self) -> Kind:
        """What was trained here. Raises AudiosslError for a folder that is no run."""
        if self.sweep_path.is_file():
            return "sweep"
        if not self.config_path.is_file():
            raise AudiosslError(
                f"{self} is not a run folder (it has no {self.config_path.name}); give what `audiossl train` wrote."
            )
        settings = self.settings()
        if (settings.get("folds") or {}).get("by"):
            return "cross_validation"
        return "single" if "downstream" in settings else "pretraining"

    def settings(self) -> dict[str, Any]:
        """What config.yaml says, as a config layer. Raises ConfigError where it is damaged."""
        return read_settings(self.config_path)

    def config(self, overrides: Sequence[str] = ()) -> Experiment:
        """The configuration of a run that trained heads, changed by `key=value`s. Raises ConfigError."""
        # What an earlier version trained has no such setting, and its head reads layers as they are.
        layers = [{"standardize": False}, self.settings(), parse_settings(overrides)]
        return structured(Experiment, *layers, where=str(self.config_path))

    def final_config(self, overrides: Sequence[str] = ()) -> Experiment:
        """As `config`, of the head that predicts: that of the last stage."""
        return structured(Experiment, as_dict(stage_configs(self.config())[-1]), parse_settings(overrides))

    @property
    def facts(self) -> RunFacts:
        """What run.json says. Raises AudiosslError where it is missing or damaged."""
        try:
            return RunFacts.from_json(read_json(self.facts_path))
        except AudiosslError as error:
            raise AudiosslError(f"{self.facts_path} cannot be read; train again with --overwrite.") from error

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, [] where there is none."""
        return read_log(self.path)

    @property
    def interface(self) -> LayerWeights:
        """What interface.json says. Raises AudiosslError where the run is not finished."""
        stored = read_json(self.interface_path)
        kinds = {"name": str, "layer_weights": dict[str, list[float]] | None}
        check_types(stored, kinds, self.interface_path, "go on with --resume, which writes it again")
        return LayerWeights(str(stored.get("name", "")), stored.get("layer_weights") or {})

    def split(self, name: str) -> SplitFolder:
        """Where the evaluation of a split lies."""
        return SplitFolder(self.path / name)

    @property
    def evaluated(self) -> list[SplitFolder]:
        """The splits that were evaluated, by name."""
        return [split for split in map(SplitFolder, sorted(self.path.glob("*"))) if split.metrics.is_file()]

    def checkpoint(self, name: str) -> Path:
        """The file of the weights `best`, `last` or `averaged`."""
        return Checkpoints(self.path).path(name)

    def member(self, name: str) -> RunFolder:
        """A run of a sweep."""
        return RunFolder(self.path / name)

    def fold(self, name: str) -> RunFolder:
        """A run of a cross-validation."""
        return RunFolder(self.path / "folds" / name)

    def stage(self, number: int) -> RunFolder:
        """A run of a stage before the last, from 1."""
        return RunFolder(self.path / STAGES_NAME / str(number))

    def fold_manifests(self, name: str) -> Path:
        """The folder with the rows of a fold, by part."""
        return self.path / "manifests" / name

    def restore(self, task: Task, checkpoint: str) -> None:
        """Load weights (best, last or averaged) into a task. Raises CheckpointError."""
        task.load_trainable_state(self.trained_state(checkpoint))

    def trained_state(self, checkpoint: str) -> dict[str, Any]:
        """What a task's `trainable_state` was at a checkpoint. Raises CheckpointError where there is none."""
        path = self.checkpoint(checkpoint)
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in path.parent.glob("*.safetensors"))) or "none"
            raise CheckpointError(f"{self} has no checkpoint {checkpoint!r}; it has: {known}.")
        state, _ = read_tensors(path)
        prefix = checkpoint_prefix(checkpoint)
        return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}

    @contextmanager
    def writing(self, *, resume: bool, overwrite: bool, inputs: Iterable[Path] = ()) -> Iterator[None]:
        """Make sure that the folder may be written, and that nobody else writes it at the same time.

        resume: whether a run that is there is gone on with.
        overwrite: whether it is replaced.
        inputs: what the training reads, none of which may lie in what is replaced.
        Raises TrainingError where there is nothing to go on with, where a run is neither to be gone on with nor to be
        replaced, where something there is not of a run, and where another process writes. Raises OutputError where the
        folder cannot be written.
        """
        if resume and not self.is_run:
            raise TrainingError(f"{self} is not a run folder, so nothing can be resumed; start without --resume.")
        if not is_main():
            yield
            return
        check_out(self.path, "folder")
        if not resume:
            self._check_replaceable(overwrite, inputs)
        self.refuse_links()
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / LOCK_NAME, "a", encoding="utf-8", opener=open_no_link) as lock:
            if not try_lock_file(lock):
                raise TrainingError(f"Another process is training in {self}; choose another folder with --out.")
            for folder in (self.path, self.checkpoint("last").parent):
                remove_parts(folder)
            yield

    def _check_replaceable(self, overwrite: bool, inputs: Iterable[Path]) -> None:
        """Raise TrainingError where something in the folder may not be replaced, ConfigError where it is read."""
        # A run that was killed in its first write has left that half of a file and nothing else.
        found = next((path for path in written_in(self.path) if not path.match(HALF_WRITTEN)), None)
        if found is None:
            return
        if not is_of_a_run(self.path):
            raise TrainingError(
                f"{found} is not of a run that audiossl knows ({self.facts_path} does not say so); choose another "
                f"folder with --out."
            )
        # A run that ended before its first checkpoint has nothing to lose, and cannot be gone on with.
        if not overwrite and has_weights(self.path):
            raise TrainingError(
                f"{self} has a run already: go on with --resume {self}, or replace it with --overwrite."
            )
        inside = self.path.resolve()
        for path in inputs:
            if path.exists() and path.resolve().is_relative_to(inside):
                raise ConfigError(
                    f"{path} is read by this training and lies in {self}, whose run is to be replaced; choose another "
                    f"folder with --out."
                )

    def refuse_links(self, *splits: str) -> None:
        """Raise TrainingError where a part of the run is a link, through which writing would go elsewhere.

        splits: whose evaluations are to be written.
        """
        for link in self.links(*splits):
            raise TrainingError(
                f"{link} is a link, so what would be written there is not of the run; put that in its place."
            )

    def links(self, *splits: str) -> list[Path]:
        """The parts of the run, and of these splits, that are links: they may lead anywhere."""
        parts = [self.path / name for name in (LOCK_NAME, *PARTS_OF_A_RUN, *splits)]
        return [part for part in parts if part.is_symlink()]

    def begin(self, config: Any, facts: RunFacts, encoder: EncoderFile | None = None, *, resume: bool = False) -> None:
        """Say what is trained here. What an earlier run left is removed, unless it is gone on with.

        config: an `Experiment` or a `PretrainExperiment`.
        facts: what run.json is to say.
        encoder: what encoder.json is to say. None for a sweep, which has none until a member is finished.
        resume: whether the run goes on.
        """
        if not resume:
            self.clear()
        write_json(self.facts_path, facts.as_json())
        if encoder is not None:
            encoder.write(self.path)
        self.write_config(config)

    def write_config(self, config: Any) -> None:
        """Write config.yaml, after all else."""
        save_yaml(config, self.config_path)

    def write_interface(self, weights: LayerWeights) -> None:
        """Write interface.json, of a run that is finished."""
        write_json(self.interface_path, weights._asdict())

    def add_encoder(self, encoder: EncoderFile) -> None:
        """Write encoder.json where an earlier version left none."""
        if not has_encoder_file(self.path):
            encoder.write(self.path)

    def clear(self) -> None:
        """Remove what an earlier run wrote here, and nothing else. The lock that is held stays."""
        if is_of_a_run(self.path):
            remove_written(self.path)


def checkpoint_prefix(checkpoint: str) -> str:
    """What the names of a task's tensors begin with in a checkpoint. The last one holds the optimizer as well."""
    return "model/" if checkpoint == "last" else ""
