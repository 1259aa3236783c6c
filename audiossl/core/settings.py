"""Settings as data, and as commented YAML: what the fields of a config dataclass are called, take, default to and mean.

settings = settings_of(TrainerConfig)
print("\n".join(yaml_lines(settings)))
"""

from __future__ import annotations

import dataclasses
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from audiossl.core.config import choices_of, field_types, plain_values
from audiossl.core.field_docs import field_docs
from audiossl.core.ranges import range_of

_WIDTH = 100
_REQUIRED = "???"  # omegaconf's MISSING


@dataclass(frozen=True)
class Setting:
    """One field of a config dataclass.

    name: dotted where the field is one of a nested dataclass.
    type: as YAML has it, for instance 'int or null'.
    value: its default, or what a layer over it says. None is null.
    choices: all that it may be, where its type says so.
    range: which numbers it may be, as in 'above 0'. Empty for a field without a range.
    doc: the string under the field.
    required: whether it has no value.
    inner: the settings of the dataclass that the field holds.
    """

    name: str
    type: str
    value: Any
    choices: tuple[Any, ...]
    doc: str
    required: bool = False
    inner: tuple[Setting, ...] = ()
    range: str = ""

    @property
    def key(self) -> str:
        """What it is called within what holds it."""
        return self.name.rpartition(".")[2]

    def as_json(self) -> dict[str, Any]:
        """Plain data, for a setting without inner ones."""
        default = None if self.required else self.value
        shown = {"name": self.name, "type": self.type, "default": default, "choices": list(self.choices)}
        shown |= {"range": self.range} if self.range else {}
        return {**shown, "required": self.required, "doc": self.doc}


def settings_of(
    schema: type, *layers: Mapping[str, Any], within: str = "", where: str = "configuration"
) -> tuple[Setting, ...]:
    """The settings of a config dataclass, with its defaults overlaid by each layer in turn.

    within: the section that holds them, the first part of their names.
    where: what an error calls the layers.
    Raises ConfigError.
    """
    return _settings(schema, plain_values(schema, *layers, where=where), f"{within}." if within else "")


def section(name: str, inner: tuple[Setting, ...], doc: str = "") -> Setting:
    """Settings under one key. Where there are none it is the key alone, with an empty mapping."""
    if inner:
        return Setting(name, "section", None, (), doc, inner=inner)
    return Setting(name, "mapping", {}, (), doc)


def leaves(settings: Iterable[Setting]) -> Iterator[Setting]:
    """Those that hold a value, in order, inner ones in the place of what holds them."""
    for setting in settings:
        if setting.inner:
            yield from leaves(setting.inner)
        else:
            yield setting


def only(settings: Iterable[Setting], layer: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Those that a layer names."""
    return tuple(
        dataclasses.replace(setting, inner=only(setting.inner, layer[setting.key])) if setting.inner else setting
        for setting in settings
        if setting.key in layer
    )


def yaml_lines(settings: Iterable[Setting], indent: int = 0) -> Iterator[str]:
    """YAML with what each setting means above it and what it takes beside it. What is required is commented out."""
    space = " " * indent
    for setting in settings:
        yield from (f"{space}{line}" for line in comment_lines(setting.doc, _WIDTH - indent))
        if setting.inner:
            yield f"{space}{setting.key}:"
            yield from yaml_lines(setting.inner, indent + 2)
        elif setting.required:
            yield f"{space}# {setting.key}:   # required, {_taken(setting) or setting.type}"
        else:
            beside = f"   # {taken}" if (taken := _taken(setting)) else ""
            yield f"{space}{setting.key}: {in_yaml(setting.value)}{beside}"


def comment_lines(text: str, width: int = _WIDTH) -> list[str]:
    """A text as lines of comment. Empty for no text."""
    # A name with a hyphen, or a path, is not broken.
    return textwrap.wrap(
        text, width, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
    )


def in_yaml(value: Any) -> str:
    """A plain value as YAML writes it on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def type_name(kind: Any) -> str:
    """A type as YAML has it.

    >>> type_name(float | None), type_name(list[int]), type_name(dict[str, Any]), type_name(tuple[float, float])
    ('float or null', 'list of int', 'mapping', 'list of float, float')
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(type_name, arguments))
    if origin is Literal:
        return " or ".join(map(in_yaml, arguments))
    if origin is dict or kind is dict:
        return "mapping"
    if origin in (list, tuple):
        inner = [type_name(argument) for argument in arguments if argument not in (Any, Ellipsis)]
        return f"list of {', '.join(inner)}" if inner else "list"
    if kind in (None, type(None)):
        return "null"
    plain = {Any: "anything", str: "text", bool: "true or false"}
    return plain.get(kind) or str(getattr(kind, "__name__", kind))


def _settings(schema: Any, values: Mapping[str, Any], prefix: str) -> tuple[Setting, ...]:
    docs = field_docs(schema)
    found = []
    for name, kind in field_types(schema).items():
        value = values[name]
        inner: tuple[Setting, ...] = ()
        # A nested dataclass that is null or required has no values to show: it stays one setting.
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            inner = _settings(kind, value, f"{prefix}{name}.")
        missing = isinstance(value, str) and value == _REQUIRED
        found.append(
            Setting(
                f"{prefix}{name}",
                "section" if inner else type_name(kind),
                None if inner or missing else value,
                choices_of(kind),
                docs.get(name, ""),
                missing,
                inner,
                "" if inner else str(range_of(schema, name) or ""),
            )
        )
    return tuple(found)


def _taken(setting: Setting) -> str:
    """What to write instead, where the value does not show it."""
    if setting.choices:
        return " | ".join(map(in_yaml, setting.choices))
    shown = setting.type if setting.required or setting.value in (None, [], {}) else ""
    return ", ".join(filter(None, (shown, setting.range)))
