"""The strings under the fields: how they are read, and that every field that a user sets has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

from audiossl.analysis.config import ProbeOptions
from audiossl.core.config import field_types
from audiossl.core.field_docs import field_docs
from audiossl.core.registry import REGISTRIES
from audiossl.encoders.config import EmbedOptions
from audiossl.experiments.config import Experiment, PretrainExperiment


class Plugin:
    @dataclass(frozen=True)
    class Config:
        """Of both: "quoted"."""

        width: int | None = None
        """Width of what comes out.  Null for
        that of the first layer."""
        plain: int = 2
        mode: Literal["a", "off"] = "a"
        """Which."""


@dataclass(frozen=True)
class Derived(Plugin.Config):
    plain: int = 3
    """Said where it is set again."""
    mode: Literal["a", "off"] = "off"
    added: int = 0
    """Of its own."""

    def method(self) -> None:
        """No field."""


def test_the_string_under_a_field_says_what_it_is() -> None:
    width = "Width of what comes out. Null for that of the first layer."
    assert field_docs(Plugin.Config) == {"width": width, "mode": "Which."}
    said = {"width": width, "plain": "Said where it is set again.", "mode": "Which.", "added": "Of its own."}
    assert list(field_docs(Derived).items()) == list(said.items())


def test_a_class_in_a_function_and_one_without_source() -> None:
    @dataclass
    class Local:
        depth: int = 1
        """How deep."""

    assert field_docs(Local) == {"depth": "How deep."}
    typed: dict[str, Any] = {"dataclass": dataclass, "__name__": __name__}
    exec('@dataclass\nclass Typed:\n    depth: int = 1\n    """How deep."""', typed)
    assert field_docs(typed["Typed"]) == {}


def configs() -> Iterator[type]:
    """Every dataclass that a user sets fields of, nested ones included."""
    plugins = [registry.load(name) for registry in REGISTRIES for name in registry.names()]
    found: list[Any] = [Experiment, PretrainExperiment, EmbedOptions, ProbeOptions]
    found += [plugin.Config for plugin in plugins if is_dataclass(getattr(plugin, "Config", None))]
    seen = set()
    while found:
        schema = found.pop()
        if schema not in seen:
            seen.add(schema)
            found += [kind for kind in field_types(schema).values() if is_dataclass(kind)]
            yield schema


def test_every_field_of_every_config_says_what_it_is() -> None:
    wrong = [
        f"{schema.__module__}:{schema.__qualname__}.{name}: {said or 'nothing is said'}"
        for schema in configs()
        for name in field_types(schema)
        if not (said := field_docs(schema).get(name, "")).endswith(".") or ";" in said
    ]
    assert wrong == []
