"""Configuration: frozen dataclasses beside what they configure, read from YAML and `key.sub=value` by OmegaConf.

The defaults in the code are the published settings. Everything is checked against the dataclass: an unknown key or a
wrong type is one sentence with the closest key, and so is a number outside the range that stands beside its field
(`audiossl.core.ranges`). The string under a field says what it is (`audiossl.core.field_docs`).

A dataclass may name the field that a bare string stands for, as `SHORT: ClassVar[str] = "mode"`: where it is nested,
`finetune: lora` is then short for `finetune: {mode: lora}`. YAML reads a bare `off` as false, which counts as 'off' for
a field that is a Literal with that choice.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from audiossl.core.errors import ConfigError, did_you_mean, first_line
from audiossl.core.files import atomic_write
from audiossl.core.ranges import check_ranges

C = TypeVar("C")


def structured(schema: type[C], *layers: Mapping[str, Any] | DictConfig, where: str = "configuration") -> C:
    """An instance of the dataclass `schema`: its defaults, overlaid by each layer in turn.

    Raises ConfigError for an unknown key, a wrong type, a number outside its range, or a value that is missing.
    """
    merged = _overlaid(schema, layers, where)
    try:
        made: C = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except MissingMandatoryValue as error:
        raise ConfigError(f"In the {where}: {error.full_key!r} has no value; set {error.full_key}=...") from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"In the {where}: {first_line(error)}") from error
    check_ranges(made, where=where)
    return made


def plain_values(schema: type, *layers: Mapping[str, Any] | DictConfig, where: str = "configuration") -> dict[str, Any]:
    """As `structured`, as nested dicts and lists and without the checks of the dataclass itself.

    What has no value is '???', which is omegaconf's MISSING.
    """
    plain = OmegaConf.to_container(_overlaid(schema, layers, where), resolve=False)
    return dict(plain)  # type: ignore[arg-type]


def read_yaml(path: str | Path) -> DictConfig:
    """A YAML file as a config layer. Raises ConfigError for one that is missing, or holds no mapping."""
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


def parse_overrides(
    pairs: Sequence[str], schema: type | None = None, *, example: str = "trainer.steps=2000"
) -> DictConfig:
    """`["trainer.steps=2000", "upstream=tera_mini"]` as a config layer.

    schema: what the layer is for. Its short forms are written out here, so that of `finetune=lora finetune.lora_rank=4`
    the second does not replace the first.
    example: for the error of what is no override.
    """
    for pair in pairs:
        if "=" not in pair or pair.startswith(("=", "-")):
            raise ConfigError(f"{pair!r} is not an override; write key=value, for instance {example}.")
    try:
        return OmegaConf.from_dotlist([_long_pair(pair, schema) for pair in pairs])
    except Exception as error:
        raise ConfigError(f"Cannot read the overrides {list(pairs)}: {first_line(error)}") from error


def with_long_forms(schema: type, layer: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """The layer with its short forms written out, and false as 'off' where that is a choice. The layer itself stays."""
    if isinstance(layer, DictConfig):
        layer = OmegaConf.to_container(layer, resolve=False)  # type: ignore[assignment]
    hints = field_types(schema)
    return {str(key): _long_value(hints.get(str(key)), value) for key, value in layer.items()}


def as_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain nested dicts and lists, ready for YAML or JSON."""
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True)
    return dict(plain)  # type: ignore[arg-type]


def save_yaml(config: Any, path: Path) -> None:
    """Write a config dataclass in one step, so that `read_yaml` gives it back."""
    with atomic_write(path) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.structured(config), resolve=True), encoding="utf-8")


@cache
def field_types(schema: type) -> dict[str, Any]:
    """The type of each field of a dataclass, by its name, in order."""
    hints = typing.get_type_hints(schema)
    return {field.name: hints[field.name] for field in dataclasses.fields(schema)}


def choices_of(kind: Any) -> tuple[Any, ...]:
    """All that a field of this type may be. Empty where it is no Literal, alone or beside None.

    >>> choices_of(Literal["a", "b"] | None), choices_of(str | None)
    (('a', 'b', None), ())
    """
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    found = [c for option in options if typing.get_origin(option) is Literal for c in typing.get_args(option)]
    return (*found, None) if found and type(None) in options else tuple(found)


def make(target: Any, options: Mapping[str, Any], *arguments: Any, where: str = "configuration") -> Any:
    """Call a plugin: `target(*arguments, Config(**options))` if it has a `Config` dataclass, else with keywords."""
    schema = getattr(target, "Config", None)
    if schema is not None and dataclasses.is_dataclass(schema):
        return target(*arguments, structured(schema, options, where=where))  # type: ignore[arg-type]
    signature = inspect.signature(target)
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        if isinstance(target, type) and "config" in signature.parameters and "config" not in options:
            raise ConfigError(
                f"In the {where}: the constructor of {target.__name__} takes a config, but the class has no dataclass "
                f"named Config."
            ) from error
        raise ConfigError(f"In the {where}: {error}.") from error
    return target(*arguments, **dict(options))


def _overlaid(schema: type, layers: Sequence[Mapping[str, Any] | DictConfig], where: str) -> DictConfig:
    merged = OmegaConf.structured(schema)
    for layer in layers:
        try:
            merged = OmegaConf.merge(merged, with_long_forms(schema, layer))
        except OmegaConfBaseException as error:
            raise ConfigError(f"In the {where}: {_explain(error, schema)}") from error
    overlaid: DictConfig = merged
    return overlaid


def _long_value(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        short = getattr(kind, "SHORT", "")
        if short and isinstance(value, str):
            return {short: value}
        return with_long_forms(kind, value) if isinstance(value, Mapping) else value  # type: ignore[arg-type]
    return "off" if value is False and "off" in choices_of(kind) else value


def _long_pair(pair: str, schema: type | None) -> str:
    """`finetune=lora` as `finetune.mode=lora`. What is no short form, as `finetune={mode: lora}`, stays as it is."""
    path, _, value = pair.partition("=")
    kind: Any = schema
    for name in path.split("."):
        kind = field_types(kind).get(name) if dataclasses.is_dataclass(kind) else None  # type: ignore[arg-type]
    short = getattr(kind, "SHORT", "") if dataclasses.is_dataclass(kind) else ""
    return f"{path}.{short}={value}" if short and "{" not in value else pair


def _explain(error: OmegaConfBaseException, schema: type) -> str:
    key = error.full_key or str(error.key or "")
    if isinstance(error, ConfigKeyError):
        *parents, last = key.split(".")
        owner = error.object_type if dataclasses.is_dataclass(error.object_type) else schema
        known = [f.name for f in dataclasses.fields(owner)]  # type: ignore[arg-type]
        known = [".".join([*parents, name]) for name in known]
        return f"there is no key {key!r}. {did_you_mean('.'.join([*parents, last]), known)}"
    return f"{key!r}: {first_line(error)}" if key else first_line(error)
