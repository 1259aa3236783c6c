"""One name, one thing: no two classes of the package have the same name."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from toys.sources import SOURCES

# The settings of a class are nested in it and are read through it.
EXEMPT = {"Config"}


def classes_of(text: str) -> list[tuple[str, int]]:
    """Public classes at the top of a module, with their lines."""
    return [
        (node.name, node.lineno)
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in EXEMPT
    ]


def defined_twice(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of classes that more than one place defines, with those places. sources: texts by module."""
    places: dict[str, list[str]] = {}
    for module, text in sources.items():
        for name, line in classes_of(text):
            places.setdefault(name, []).append(f"{module}:{line}")
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def test_a_class_has_a_name_of_its_own() -> None:
    assert defined_twice(SOURCES) == {}


def test_a_second_owner_of_a_name_is_reported_with_both_places() -> None:
    changed = {**SOURCES, "audiossl.data.leaks": f"class Batch:\n    pass\n{SOURCES['audiossl.data.leaks']}"}
    places = defined_twice(changed)["Batch"]
    assert "audiossl.data.leaks:1" in places
    assert [place for place in places if place.startswith("audiossl.core.types:")]


def test_private_and_nested_classes_are_nobody_elses_business() -> None:
    twice = "class _Item:\n    pass\nclass Config:\n    pass\nclass A{}:\n    class Config:\n        pass\n"
    assert defined_twice({"a.py": twice.format(1), "b.py": twice.format(2)}) == {}
