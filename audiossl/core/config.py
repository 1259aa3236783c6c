"""Configuration: frozen dataclasses beside what they configure, from YAML and `key.sub=value`, checked by OmegaConf.

The defaults in the code are the published settings. Everything is checked against the dataclass: an unknown key or a
wrong type is one sentence with the closest key, and so is a number outside the range that stands beside its field
(`audiossl.core.ranges`). The string under a field says what it is (`audiossl.core.field_docs`).

Values are data. OmegaConf's own language is not spoken: `${oc.env:HOME}` is a text of fourteen characters, and a label
may be called `???`.

A dataclass may name the field that a bare string stands for, as `SHORT: ClassVar[str] = "mode"`: where it is nested,
also in a dict, `finetune: lora` is then short for `finetune: {mode: lora}`. YAML reads a bare `off` as false, which
counts as 'off' for a field that is a Literal with that choice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from audiossl.core.errors import ConfigError, did_you_mean, first_line
from audiossl.core.files import atomic_write
from audiossl.core.ranges import check_ranges
from audiossl.core.yaml_text import dump_yaml, load_yaml

C = TypeVar("C")

_MARK = "# sha256 of the lines above: "
_LAST_KEY = "seed"  # of every experiment that earlier versions wrote, without a checksum
_AS_TEXT = "\ue000"  # a character for private use: what follows it is text, and none of OmegaConf's own language


def structured(schema: type[C], *layers: Mapping[str, Any], where: str = "configuration") -> C:
    """An instance of the dataclass `schema`: its defaults, overlaid by each layer in turn.

    Raises ConfigError for an unknown key, a wrong type, a number outside its range, or a value that is missing.
    """
    merged = _overlaid(schema, layers, where)
    try:
        plain = OmegaConf.to_container(merged, resolve=False, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"In the {where}: {error.full_key!r} has no value; set {error.full_key}=...") from error
    made: C = _instance(schema, _as_data(plain))
    check_ranges(made, where=where)
    return made


def plain_values(schema: type, *layers: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """As `structured`, as nested dicts and lists and without the checks of the dataclass itself.

    What has no value is '???', which is omegaconf's MISSING.
    """
    plain: dict[str, Any] = _as_data(OmegaConf.to_container(_overlaid(schema, layers, where), resolve=False))
    return plain


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file as a config layer. Raises ConfigError for one that is missing, or holds no mapping."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"There is no configuration file {path}; give the path of a YAML file.")
    try:
        layer = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        raise ConfigError(f"{path} is not readable YAML: {first_line(error)}") from error
    if not isinstance(layer, dict):
        raise ConfigError(f"{path} must hold `key: value` lines at its top level.")
    return {str(key): value for key, value in layer.items()}


def parse_overrides(
    pairs: Sequence[str], schema: type | None = None, *, example: str = "trainer.steps=2000"
) -> dict[str, Any]:
    """`["trainer.steps=2000", "upstream=tera_mini"]` as a config layer.

    schema: what the layer is for. Its short forms are written out here, so that of `finetune=lora finetune.lora_rank=4`
    the second does not replace the first.
    example: for the error of what is no override.
    """
    layer: dict[str, Any] = {}
    for pair in pairs:
        if "=" not in pair or pair.startswith(("=", "-")):
            raise ConfigError(f"{pair!r} is not an override; write key=value, for instance {example}.")
        path, _, text = _long_pair(pair, schema).partition("=")
        try:
            value = load_yaml(text)
        except (ValueError, YAMLError) as error:
            raise ConfigError(f"Cannot read the override {pair!r}: {first_line(error)}") from error
        for name in reversed(path.split(".")):
            value = {name: value}
        layer = merged_layers(layer, value)
    return layer


def merged_layers(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One layer over another, mapping into mapping.

    >>> merged_layers({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        inner = isinstance(below, Mapping) and isinstance(value, Mapping)
        both[key] = merged_layers(below, value) if inner else value  # type: ignore[arg-type]
    return both


def with_long_forms(schema: type, layer: Mapping[str, Any]) -> dict[str, Any]:
    """The layer with its short forms written out, and false as 'off' where that is a choice. The layer itself stays."""
    hints = field_types(schema)
    return {str(key): _long_value(hints.get(str(key)), value) for key, value in layer.items()}


def as_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain nested dicts and lists, ready for YAML or JSON."""
    structure = OmegaConf.structured(_as_text(config))
    plain: dict[str, Any] = _as_data(OmegaConf.to_container(structure, resolve=False))
    return plain


def save_yaml(config: Any, path: Path) -> None:
    """Write a config dataclass in one step, so that `read_yaml` gives it back.

    The last line has a checksum of all before it, so that `read_saved_yaml` notices what was cut.
    """
    text = dump_yaml(as_dict(config))
    with atomic_write(path) as temporary:
        temporary.write_text(text + _mark(text), encoding="utf-8")


def read_saved_yaml(path: str | Path) -> dict[str, Any]:
    """What `save_yaml` wrote. Raises ConfigError for a file that was cut or changed since.

    A file of an earlier version has no checksum. It is taken where it ends as files of that version do.
    """
    layer = read_yaml(path)
    text = Path(path).read_text(encoding="utf-8")
    *lines, last = text.splitlines(keepends=True)
    whole = "".join(lines)
    if last.startswith(_MARK):
        if last != _mark(whole):
            raise ConfigError(
                f"{path} is not what was written: it was changed or damaged since. Give settings as key=value, or "
                f"remove its last line to have it read as it is."
            )
    elif next(reversed(layer), "") != _LAST_KEY or not last.endswith("\n"):
        raise ConfigError(
            f"{path} is not whole: what comes after {last.strip()!r} is missing. Get a copy of it, or train again."
        )
    return layer


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


def _overlaid(schema: type, layers: Sequence[Mapping[str, Any]], where: str) -> DictConfig:
    merged: Any = _template(schema)
    for layer in layers:
        try:
            merged = OmegaConf.merge(merged, _as_text(with_long_forms(schema, layer)))
        except OmegaConfBaseException as error:
            why = _misplaced(schema, layer) or _as_data(_explain(error, schema))
            raise ConfigError(f"In the {where}: {why}") from error
        except TypeError as error:  # so OmegaConf calls some of what is misplaced
            raise ConfigError(f"In the {where}: {_misplaced(schema, layer) or first_line(error)}") from error
    overlaid: DictConfig = merged
    return overlaid


@cache
def _template(schema: type) -> DictConfig:
    """The defaults, made once: that takes most of the time. A merge copies them."""
    made: DictConfig = OmegaConf.structured(schema)
    return made


def _as_text(value: Any) -> Any:
    """A value, of any nesting, in which OmegaConf finds no interpolation and nothing missing.

    A dataclass is copied without its constructor, whose checks have been made.
    """
    if isinstance(value, str):
        marked = value.replace(_AS_TEXT, 2 * _AS_TEXT).replace("${", f"${_AS_TEXT}{{")
        return _AS_TEXT + marked if value == MISSING else marked
    if isinstance(value, Mapping):
        return {key: _as_text(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(copied, field.name, _as_text(getattr(value, field.name)))
        return copied
    return value


def _as_data(value: Any) -> Any:
    """Inverse of `_as_text` for what OmegaConf gives back."""
    if isinstance(value, str):
        return re.sub(f"{_AS_TEXT}(.)", r"\1", value, flags=re.DOTALL)
    if isinstance(value, Mapping):
        return {key: _as_data(each) for key, each in value.items()}
    return [_as_data(each) for each in value] if isinstance(value, list) else value


def _mark(text: str) -> str:
    return f"{_MARK}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _instance(kind: Any, value: Any) -> Any:
    """A dataclass of plain values, nested ones included. What is no mapping, or for no dataclass, stays as it is."""
    if typing.get_origin(kind) is dict and isinstance(value, Mapping):
        return {name: _instance(typing.get_args(kind)[1], each) for name, each in value.items()}
    inner = next((each for each in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(each)), None)
    if inner is None or not isinstance(value, Mapping):
        return value
    hints = field_types(inner)  # type: ignore[arg-type]
    return inner(**{name: _instance(hints[name], each) for name, each in value.items()})  # type: ignore[operator]


def _misplaced(schema: type, layer: Mapping[str, Any], within: str = "") -> str:
    """Which value of a layer is a list, a mapping or neither where another of the three belongs. Empty for none."""
    for name, kind in field_types(schema).items():
        value, full = layer.get(name), f"{within}{name}"
        needed, found = _container(kind), _container(type(value))
        if isinstance(value, Mapping | list) and needed not in (found, ""):
            return f"{full!r} is {found}, and must be {needed}."
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            inner = _misplaced(kind, value, f"{full}.")  # type: ignore[arg-type]
            if inner:
                return inner
    return ""


def _container(kind: Any) -> str:
    """What holds values of a type. Empty for one that may be several things."""
    kind = typing.get_origin(kind) or kind
    if kind in (Any, typing.Union, types.UnionType):
        return ""
    if dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, Mapping)):
        return "a mapping"
    return "a list" if kind in (list, tuple) else "one value"


def _long_value(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        short = getattr(kind, "SHORT", "")
        if short and isinstance(value, str):
            return {short: value}
        return with_long_forms(kind, value) if isinstance(value, Mapping) else value  # type: ignore[arg-type]
    if typing.get_origin(kind) is dict and isinstance(value, Mapping):
        return {name: _long_value(typing.get_args(kind)[1], each) for name, each in value.items()}
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
