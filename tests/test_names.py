"""One name, one thing: no two classes of the package have the same name."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest
from toys.core import ROOT

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
    """Names of classes that more than one place defines, with those places. sources: texts by file."""
    places: dict[str, list[str]] = {}
    for file, text in sources.items():
        for name, line in classes_of(text):
            places.setdefault(name, []).append(f"{file}:{line}")
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    found = {}
    for top in ("audiossl", "upstreams", "downstreams"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if top == "audiossl" and parts[1] in ("upstreams", "downstreams"):
                continue  # links to the folders of these names
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return found


def test_a_class_has_a_name_of_its_own(sources: dict[str, str]) -> None:
    assert defined_twice(sources) == {}


def test_a_second_owner_of_a_name_is_reported_with_both_places(sources: dict[str, str]) -> None:
    changed = {**sources, "audiossl/data/leaks.py": f"class Batch:\n    pass\n{sources['audiossl/data/leaks.py']}"}
    places = defined_twice(changed)["Batch"]
    assert "audiossl/data/leaks.py:1" in places
    assert [place for place in places if place.startswith("audiossl/core/types.py:")]


def test_private_and_nested_classes_are_nobody_elses_business() -> None:
    twice = "class _Item:\n    pass\nclass Config:\n    pass\nclass A{}:\n    class Config:\n        pass\n"
    assert defined_twice({"a.py": twice.format(1), "b.py": twice.format(2)}) == {}
