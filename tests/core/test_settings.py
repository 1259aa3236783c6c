"""Settings as facts, and as YAML that can be read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import MISSING

from audiossl.core.config import read_yaml, structured
from audiossl.core.errors import ConfigError
from audiossl.core.settings import comment_lines, in_yaml, leaves, only, section, settings_of, type_name, yaml_lines


@dataclass(frozen=True)
class Inner:
    kind: Literal["b", "off"] = "off"
    """Which."""
    ratio: float | None = None
    """How much. Null for none."""


@dataclass(frozen=True)
class Outer:
    path: str = MISSING
    """Where it is."""
    depth: int = 2
    """How deep."""
    inner: Inner = field(default_factory=Inner)
    """What is within."""
    names: list[str] = field(default_factory=list)
    """Which names."""
    extra: dict[str, Any] = field(default_factory=dict)
    undocumented: float = 1e-10


LINES = """\
# Where it is.
# path:   # required, text
# How deep.
depth: 2
# What is within.
inner:
  # Which.
  kind: 'off'   # b | 'off'
  # How much. Null for none.
  ratio: null   # float or null
# Which names.
names: []   # list of text
extra: {}   # mapping
undocumented: 1.0e-10"""


def test_yaml() -> None:
    assert "\n".join(yaml_lines(settings_of(Outer))) == LINES


def test_what_is_written_is_read_as_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "outer.yaml"
    path.write_text("\n".join(yaml_lines(settings_of(Outer))), encoding="utf-8")
    assert structured(Outer, read_yaml(path), {"path": "x"}) == Outer("x")


def test_layers_change_the_values_and_errors_say_where() -> None:
    layer = {"inner": {"ratio": 0.5}, "names": ["a: b", "c"], "path": "x"}
    written = "\n".join(yaml_lines(settings_of(Outer, layer)))
    assert "  ratio: 0.5\n" in written
    assert "names: ['a: b', c]\n" in written
    assert "\npath: x\n" in written
    with pytest.raises(ConfigError, match="In the recipe: there is no key 'deth'. Did you mean depth?"):
        settings_of(Outer, {"deth": 3}, where="recipe")


def test_facts() -> None:
    settings = settings_of(Outer, within="task")
    facts = {fact["name"]: fact for fact in (setting.as_json() for setting in leaves(settings))}
    assert list(facts) == [
        "task.path",
        "task.depth",
        "task.inner.kind",
        "task.inner.ratio",
        "task.names",
        "task.extra",
        "task.undocumented",
    ]
    assert facts["task.path"] == {
        "name": "task.path",
        "type": "text",
        "default": None,
        "choices": [],
        "required": True,
        "doc": "Where it is.",
    }
    assert (facts["task.inner.kind"]["choices"], facts["task.inner.kind"]["default"]) == (["b", "off"], "off")


def test_only_what_a_layer_names() -> None:
    layer = {"inner": {"ratio": 0.5}, "depth": 3}
    kept = only(settings_of(Outer, layer), layer)
    assert [(setting.name, setting.value) for setting in leaves(kept)] == [("depth", 3), ("inner.ratio", 0.5)]


def test_a_section_without_settings_is_an_empty_mapping() -> None:
    assert list(yaml_lines([section("task", ())])) == ["task: {}   # mapping"]


def test_long_comments_are_wrapped_between_words() -> None:
    text = "word " * 40 + "a/path/that-is-not-broken"
    lines = comment_lines(text)
    assert all(line.startswith("# ") and len(line) <= 100 for line in lines)
    assert " ".join(line[2:] for line in lines) == text
    inner = settings_of(Outer, within="a")
    assert comment_lines("") == []
    assert all(len(line) <= 100 for line in yaml_lines([section("a", inner, text)]))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (float | None, "float or null"),
        (Literal["a", "off"], "a or 'off'"),
        (list[int], "list of int"),
        (tuple[float, float], "list of float, float"),
        (tuple[int, ...], "list of int"),
        (list[Any], "list"),
        (dict[str, str], "mapping"),
        (bool, "true or false"),
        (Path, "Path"),
    ],
)
def test_types_are_named_as_in_yaml(kind: Any, name: str) -> None:
    assert type_name(kind) == name


@pytest.mark.parametrize("value", [None, "", "off", "k:5", 1e-5, True, [0.9, 1.0], {"a": [1]}, ["x" * 200], "ä"])
def test_values_are_one_line_that_yaml_reads(value: Any, tmp_path: Path) -> None:
    line = f"value: {in_yaml(value)}"
    assert "\n" not in line
    path = tmp_path / "value.yaml"
    path.write_text(line, encoding="utf-8")
    assert read_yaml(path)["value"] == value
