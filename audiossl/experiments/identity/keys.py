"""What decides a result, as one hash: two experiments with equal keys give the same figures.

It is made of the encoder (weights, options, engine), of all settings but those that say where and how fast something is
computed, of the rows of the manifests with the state of their files, and of the code of the parts that are used.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from audiossl.core.errors import ManifestError, first_line
from audiossl.core.joined_names import names_in
from audiossl.data.shard_members import ShardMember
from audiossl.encoders.kept import Identified
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFacts
from audiossl.experiments.identity.code import code_versions
from audiossl.experiments.identity.encoders import code_of_encoder, identity_of_encoder
from audiossl.experiments.stages import stage_configs
from audiossl.experiments.sweeps.config import ADDED_AXES

# Sections of an experiment, and fields of sections, that change no result.
_WHERE = {
    "cache": None,
    "upstream": None,
    "data": ("dir", "num_workers"),
    "trainer": ("device", "sharding", "save_every", "log_every", "trackers", "tracker_project"),
}


@dataclass(frozen=True)
class Identity:
    """All that decides a result. Two cells with equal identities have the same result.

    encoder: the fingerprint of the encoder, with its options and engine.
    settings: of the experiment, without those that change no result (folders, devices, workers).
    manifests: a hash of the rows of each split.
    code: a hash of the source of each part that is used, by part.
    """

    encoder: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)


def identity_of(config: Experiment, encoder: str, folder: Path, encoder_code: str = "") -> Identity:
    """What decides the result of an experiment.

    config: the experiment, with the manifests' folder below `folder`.
    encoder: the identity of the encoder.
    folder: paths below it are no part of the settings. What the files hold is.
    encoder_code: a hash of the code that the encoder runs.
    Raises ManifestError for a manifest that is missing or damaged.
    """
    own = asdict(config)
    # Of what earlier versions did not have, nothing is said where it is not used: their results stay what they are.
    if not config.stages:
        del own["stages"]
    if not config.adversary.field:
        del own["adversary"]
    own["sweep"] = {axis: values for axis, values in own["sweep"].items() if values or axis not in ADDED_AXES}
    settings = _relative(json.loads(json.dumps(own, default=str)), str(folder.absolute()))
    for name, left_out in _WHERE.items():
        if left_out is None:
            settings.pop(name)
            if name == "cache" and config.cache.copies:
                settings[name] = {"copies": config.cache.copies}  # the one of its settings that changes a result
        else:
            settings[name] = {key: value for key, value in settings[name].items() if key not in left_out}
    chosen = [config.interface, *(_name_of(each) for each in config.sweep.interface)]
    interfaces = [name for text in chosen for name in names_in(text)]
    return Identity(
        encoder=encoder,
        settings=settings,
        manifests={name: hash_of_file(path) for name, path in files_of(config)},
        code={"encoder": encoder_code, **code_versions(config.downstream, interfaces)},
    )


def identity_of_run(config: Experiment, encoder: Identified) -> Identity | None:
    """What decides the result of a run that begins in this folder. None where it is not known: a manifest is missing.

    config: as it was asked for, before anything is completed by the training rows.
    encoder: as it was loaded.
    """
    if not all(path.is_file() for path in config.manifests.values()):
        return None
    return identity_of(config, identity_of_encoder(encoder), Path.cwd(), code_of_encoder(encoder.upstream))


def identity_facts(config: Experiment, encoder: Identified, before: RunFacts | None = None) -> dict[str, Any]:
    """What run.json says of the identity of a run, as fields of `RunFacts`. Nothing where it is not known.

    config, encoder: as for `identity_of_run`.
    before: what run.json said of the earlier part of a run that goes on. None for a run that begins.
    """
    now = identity_of_run(config, encoder)
    if now is None:
        return {}
    if before is not None:
        told: dict[str, Any] = before.identity or {}
        earlier = Identity(**{each.name: told[each.name] for each in fields(Identity) if each.name in told})
        # Options of the task may have been completed by the earlier part. What else differs makes unlike parts of it.
        if not before.identity or not all(map(_is_of_task, differences(earlier, now))):
            return {}
        now = earlier
    return {"key": key_of(now), "identity": asdict(now)}


def key_of(identity: Identity, fold: str = "") -> str:
    """The key of an identity, 32 hexadecimal digits.

    fold: the name of one of its folds, whose rows follow from all else.
    """
    described = json.dumps([asdict(identity), fold], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def differences(before: Identity, now: Identity) -> list[str]:
    """What makes a result old, in words: 'code of downstream asr', 'trainer.steps', 'rows of train'."""
    found = ["the encoder"] if before.encoder != now.encoder else []
    found += _changed(before.settings, now.settings)
    found += [f"the rows of {name}" for name in _keys(before.manifests, now.manifests)]
    return found + [f"the code of {name}" for name in _keys(before.code, now.code)]


def files_of(config: Experiment) -> Iterator[tuple[str, Path]]:
    """The files that an experiment reads, by what they are: the manifests, and lists that its task names."""
    for number, stage in enumerate(stage_configs(config)):
        before = f"stages.{number}." if number else ""
        yield from ((before + name, path) for name, path in stage.manifests.items())
        for name, text in _texts(stage.task, "task"):
            if "/" in text and Path(text).is_file():
                yield before + name, Path(text)
    if config.distill.teacher and config.distill.data:
        yield "distillation", config.distill.manifest


def _is_of_task(name: str) -> bool:
    """Whether a setting is an option of the task, in the first stage or in a later one."""
    parts = name.split(".")
    return "task" in (parts[0], *(parts[2:3] if parts[0] == "stages" else ()))


@cache
def _manifest_hash(path: Path, state: tuple[int, ...]) -> str:
    """The hash of a manifest's rows. A recording counts by the end of its path, its size and its time of change."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                for source in _sources(row):
                    source["source"] = _state_of(str(source["source"]))
                digest.update(json.dumps(row, sort_keys=True).encode())
    except (OSError, ValueError, EOFError) as error:
        raise ManifestError(f"{path} cannot be read ({first_line(error)}); prepare it again.") from error
    return digest.hexdigest()[:32]


def hash_of_file(path: Path) -> str:
    """A hash of what a manifest, or any other file, says. Raises ManifestError for one that is missing."""
    if not path.is_file():
        raise ManifestError(f"There is no {path}; prepare the recipe again.")
    if path.name.endswith(".jsonl.gz"):
        status = path.stat()
        return _manifest_hash(path, (status.st_size, status.st_mtime_ns))
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _sources(row: Any) -> Iterator[dict[str, Any]]:
    if isinstance(row, dict):
        if row.get("type") == "file" and isinstance(row.get("source"), str):
            yield row
        for value in row.values():
            yield from _sources(value)
    elif isinstance(row, list):
        for value in row:
            yield from _sources(value)


def _state_of(path: str) -> list[Any]:
    """The last two parts of a path, and the size and time of change of the file. A corpus may have been moved whole."""
    if (member := ShardMember.parse(path)) is not None:
        return [member.name, member.size, member.digest]
    name = "/".join(Path(path).parts[-2:])
    try:
        status = os.stat(path)
    except OSError:
        return [name]  # reading it will say what is wrong
    return [name, status.st_size, status.st_mtime_ns]


def _relative(value: Any, folder: str) -> Any:
    """Settings without the folder in front of paths."""
    if isinstance(value, str):
        return value.removeprefix(f"{folder}/")
    if isinstance(value, Mapping):
        return {key: _relative(each, folder) for key, each in value.items()}
    return [_relative(each, folder) for each in value] if isinstance(value, list) else value


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, f"{name}.{key}")


def _name_of(interface: Any) -> str:
    return str(interface["name"] if isinstance(interface, Mapping) else interface)


def _keys(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [key for key in {**before, **now} if before.get(key) != now.get(key)]


def _changed(before: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        inner = (_changed(before.get(key), now.get(key), f"{name}.{key}" if name else str(key)) for key in keys)
        return [each for found in inner for each in found]
    return [] if before == now else [name]
