"""What of a run is the publisher's alone: paths of this machine, manifests, rows. It is left out of what is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from audiossl.core.errors import OutputError
from audiossl.encoders.hub import OF_RUN
from audiossl.experiments.config import DataConfig, Experiment
from audiossl.experiments.folder import RunFacts
from audiossl.training.config import DistillConfig

_HIDDEN = "..."
_VERBS = ("train", "pretrain")
_OF_DATA = ("data", "cache", "probe", "init", "trainer.device")
_HEADER_BYTES = 1 << 20  # of a file of weights: its description, and more


def public_config(config: Experiment, upstream: str, options: Mapping[str, Any], folder: str = "") -> Experiment:
    """A configuration in which nothing is of this machine.

    config: of the run.
    upstream: what the encoder is called where it is sent.
    options: of it.
    folder: where the command was given, which relative paths belong to.
    """
    standard = DataConfig()
    places = {name: getattr(standard, name) for name in ("dir", "train", "dev", "test", "all", "compose")}
    return dataclasses.replace(
        config,
        upstream=upstream,
        upstream_options=dict(options),
        task=without_files(config.task, folder),
        interface_options=without_files(config.interface_options, folder),
        distill=_public_distillation(config.distill, folder),
        data=dataclasses.replace(config.data, **places),
        cache=dataclasses.replace(config.cache, dir="", max_gb=None),
    )


def _public_distillation(chosen: DistillConfig, folder: str) -> DistillConfig:
    """That there was a teacher stays, for checkpoints hold all of the encoder where there was one."""
    teacher = _HIDDEN if names_file(chosen.teacher, folder) else chosen.teacher
    options = without_files(chosen.options, folder)
    return dataclasses.replace(chosen, teacher=teacher, options=options, data="", curriculum=False)


def public_facts(facts: RunFacts) -> RunFacts:
    """What run.json may say to others: not where the command was given, nor which rows decided the result."""
    return dataclasses.replace(
        facts, command=public_command(facts.command), folder="", key=None, identity=None, members=None, stages=None
    )


def public_command(command: str) -> str:
    """A command line without paths. Empty for one that is of no training, as of a script.

    Settings stay, those of data and those that are paths are `...`. Of the recipe only its own name stays.

    >>> public_command("audiossl train recipes/fsdd/digits.yaml data.dir=/home/me/x seed=1 --out runs/a b")
    'audiossl train digits.yaml data.dir=... seed=1'
    """
    program, *words = command.split(" ")
    if program != "audiossl" or not words or words[0] not in _VERBS:
        return ""
    kept = [words[0]]
    if len(words) > 1 and words[1].endswith((".yaml", ".yml")):
        kept.append(words[1].rpartition("/")[2])
    for word in words[1:]:
        key, equals, value = word.partition("=")
        # What is no setting is a flag, the value of one, or the rest of a path with spaces.
        if equals and key.replace(".", "").replace("_", "").isalnum():
            hidden = key.split(".")[0] in _OF_DATA or key in _OF_DATA or _may_be_path(key, value)
            kept.append(f"{key}={_HIDDEN if hidden else value}")
    return " ".join([program, *kept])


def without_files(options: Any, folder: str = "") -> Any:
    """Options without those whose values name a file: on another machine there is none, and its path is nobody's.

    options: a mapping, nested or not. folder: where relative paths belong to.
    """
    if not isinstance(options, Mapping):
        return options
    return {
        key: without_files(value, folder)
        for key, value in options.items()
        if not (isinstance(value, str) and names_file(value, folder))
    }


def names_file(text: str, folder: str = "") -> bool:
    """Whether a text is a path: an absolute one, one with a folder and an ending, or one that leads to something."""
    if not text or "\0" in text or len(text) > 4096:
        return False
    path = Path(text)
    if path.is_absolute() or PureWindowsPath(text).drive or text.startswith("~"):
        return True
    return ("/" in text and bool(path.suffix)) or path.exists() or Path(folder, text).exists()


def require_public(folder: Path, files: Iterable[str], private: Iterable[str]) -> None:
    """Raise OutputError where a file that is to be sent has the name of a place of this machine in it.

    folder: with all that is to be sent.
    files: what is in it.
    private: absolute paths. Those of one folder below the root say nothing and are passed over.
    """
    places = {place.rstrip("/") for place in private if Path(place).is_absolute() and len(Path(place).parts) > 2}
    for name in files:
        with open(folder / name, "rb") as file:
            begin = file.read(_HEADER_BYTES) if name.endswith(".safetensors") else file.read()
        for place in sorted(places):
            if place.encode() in begin:
                raise OutputError(
                    f"{name} would tell others of {place}, so nothing is sent; take it out of the run's settings or "
                    f"labels."
                )


def _may_be_path(key: str, value: str) -> bool:
    is_repository = key == "upstream" and value.startswith("hf:") and not Path(value[3:]).exists()
    return not is_repository and not value.startswith(f"{OF_RUN}:") and ("/" in value or names_file(value))
