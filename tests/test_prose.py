"""The prose of the code: one thought a sentence, and a line for each of many arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from toys.sources import SOURCES

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
MANY = 3  # arguments; a function with more than these lists them


def documented(sources: Mapping[str, str]) -> Iterator[tuple[str, Documented, str]]:
    """(place, node, docstring) of everything that has one. sources: texts by module."""
    for module, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Documented) and (said := ast.get_docstring(node)):
                yield f"{module}:{getattr(node, 'lineno', 1)}", node, said


def with_semicolons(sources: Mapping[str, str]) -> list[str]:
    """Where a docstring strings thoughts together."""
    return [place for place, _, said in documented(sources) if ";" in said]


def without_list(sources: Mapping[str, str]) -> list[str]:
    """Public functions with many arguments of which one has no line `name: what it is` of its own."""
    found = []
    for place, node, said in documented(sources):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        names = [each.arg for each in node.args.args + node.args.kwonlyargs if each.arg not in ("self", "cls")]
        listed = {name for line in re.findall(r"^([\w, ]+):", said, flags=re.MULTILINE) for name in line.split(", ")}
        if len(names) > MANY and not set(names) <= listed:
            found.append(place)
    return found


def test_a_docstring_has_sentences_and_no_semicolon() -> None:
    assert with_semicolons(SOURCES) == []


def test_many_arguments_are_listed() -> None:
    # A command's docstring is its help, in which each option has a line already.
    commands = ("audiossl.cli.", ".cli")
    found = without_list(SOURCES)
    assert [place for place in found if not any(part in place for part in commands)] == []


def test_both_are_noticed() -> None:
    many = 'def f(a, b, c, d):\n    """What it does.\n\n    a, b: these.\n    c: that.\n    """\n'
    made = f'"""A module; two thoughts."""\n\n{many}'
    assert with_semicolons({"m.py": made}) == ["m.py:1"]
    assert without_list({"m.py": made}) == ["m.py:3"]
    assert without_list({"m.py": made.replace("    c: that.", "    c: that.\n    d: one more.")}) == []
