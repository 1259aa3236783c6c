"""Configuration: frozen dataclasses beside what they configure, read from YAML and `key.sub=value` by OmegaConf.

The defaults in the code are the published settings. Everything is checked against the dataclass: an unknown key or a
wrong type is one sentence with the closest key.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from audiossl.core.errors import ConfigError, did_you_mean, first_line

C = TypeVar("C")


def structured(schema: type[C], *layers: Mapping[str, Any] | DictConfig, where: str = "configuration") -> C:
    """An instance of the dataclass `schema`: its defaults, overlaid by each layer in turn. Raises ConfigError."""
    merged = OmegaConf.structured(schema)
    for layer in layers:
        try:
            merged = OmegaConf.merge(merged, layer)
        except OmegaConfBaseException as error:
            raise ConfigError(f"In the {where}: {_explain(error, schema)}") from error
    try:
        made: C = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except MissingMandatoryValue as error:
        raise ConfigError(f"In the {where}: {error.full_key!r} has no value; set {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"In the {where}: {first_line(error)}") from error
    return made


def read_yaml(path: str | Path) -> DictConfig:
    """A YAML file as a config layer; it must hold a mapping."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration file {path}; give the path of a YAML file.")
    try:
        layer = OmegaConf.load(path)
    except Exception as error:  # yaml and omegaconf raise unrelated types here
        raise ConfigError(f"{path} is not readable YAML: {first_line(error)}") from error
    if not isinstance(layer, DictConfig):
        raise ConfigError(f"{path} must hold `key: value` lines at its top level.")
    return layer


def parse_overrides(pairs: Sequence[str], *, example: str = "trainer.steps=2000") -> DictConfig:
    """`["trainer.steps=2000", "upstream=tera_mini"]` as a config layer. example: for the error of what is none."""
    for pair in pairs:
        if "=" not in pair or pair.startswith(("=", "-")):
            raise ConfigError(f"{pair!r} is not an override; write key=value, for instance {example}.")
    try:
        return OmegaConf.from_dotlist(list(pairs))
    except Exception as error:
        raise ConfigError(f"Cannot read the overrides {list(pairs)}: {first_line(error)}") from error


def as_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain nested dicts and lists, ready for YAML or JSON."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True)
    return dict(plain)  # type: ignore[arg-type]


def save_yaml(config: Any, path: Path) -> None:
    """Write a config dataclass so that `read_yaml` gives it back."""
    path.write_text(OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True), encoding="utf-8")


def make(target: Any, options: Mapping[str, Any], *arguments: Any, where: str = "configuration") -> Any:
    """Call a plugin: `target(*arguments, Config(**options))` if it has a `Config` dataclass, else with keywords."""
    schema = getattr(target, "Config", None)
    if schema is not None and dataclasses.is_dataclass(schema):
        return target(*arguments, structured(schema, options, where=where))  # type: ignore[arg-type]
    try:
        inspect.signature(target).bind(*arguments, **options)
    except TypeError as error:
        raise ConfigError(f"In the {where}: {error}.") from error
    return target(*arguments, **dict(options))


def _explain(error: OmegaConfBaseException, schema: type) -> str:
    key = error.full_key or str(error.key or "")
    if isinstance(error, ConfigKeyError):
        *parents, last = key.split(".")
        owner = error.object_type if dataclasses.is_dataclass(error.object_type) else schema
        known = [f.name for f in dataclasses.fields(owner)]  # type: ignore[arg-type]
        known = [".".join([*parents, name]) for name in known]
        return f"there is no key {key!r}. {did_you_mean('.'.join([*parents, last]), known)}"
    return f"{key!r}: {first_line(error)}" if key else first_line(error)
