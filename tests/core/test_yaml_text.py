"""YAML as configurations have it: what is written comes back, with its type."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from audiossl.core.yaml_text import dump_yaml, load_yaml

TEXTS = ["1e4", "1e-4", "1.5", ".5", "5.", ".inf", "-.nan", "yes", "off", "null", "~", "", " a ", "2020-01-31", "1:30"]
TEXTS += [
    "???",
    "${x}",
    "${oc.env:HOME}",
    "$",
    "{",
    "- a",
    "a: b",
    "# a",
    "!x",
    "&a",
    "*a",
    "ä\u2028\u0085",
    "\x1b[31m",
    "a\nb",
]


@pytest.mark.parametrize(
    "value", [*TEXTS, 1, -3, 0.003, 1e-10, 1e300, True, None, [], {}, [1, [2, "3"]], {"a": {"b": ["c", 1.0]}}]
)
def test_what_is_written_comes_back(value: Any) -> None:
    for whole in (value, [value], {"key": value, "other": [value]}):
        found = load_yaml(dump_yaml(whole))
        assert found == whole
        assert repr(found) == repr(whole)  # 1 is not 1.0, and true is not 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("3E5", 3e5), ("1e+2", 100.0), ("2.", 2.0), (".5e1", 5.0), ("-.inf", -math.inf),
        ("1_000.5", 1000.5), ("12", 12), ("0x10", 16), ("e5", "e5"), ("1e", "1e"), ("1.2.3", "1.2.3"),
        ("2020-01-31", "2020-01-31"), ("[0.9, 1e-3]", [0.9, 1e-3]), ("", None), ("off", False),
    ],
)  # fmt: skip
def test_numbers_and_dates(text: str, value: Any) -> None:
    found = load_yaml(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "!!python/object:os.system x", "[1", "a: b: c"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


def test_keys_may_come_from_another_mapping() -> None:
    assert load_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}
